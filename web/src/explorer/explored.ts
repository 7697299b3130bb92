// What is explored, for every component: the session that the server tells once.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { language } from "./language";
import type { Session } from "./schema";
import { useNetwork } from "./server";

export const Explored = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(Explored);
  if (!session) throw new Error("There is no session above this component.");
  return session;
}

/** Whether the network of a part of the page is at hand: of one that was only recorded nothing new can be asked. */
export function useAsks(): boolean {
  const { asks, networks } = useSession(), number = useNetwork();
  return asks && (networks.find((network) => network.number === number)?.asks ?? false);
}

/** Gives what a class is called in the language that is read. */
export function useClassTitle(): (name: string) => string {
  const session = useSession();
  const titles = session.class_titles[language()];
  return (name) => titles?.[session.classes.indexOf(name)] ?? name;
}
