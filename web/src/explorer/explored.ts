// What is explored, for every component: the session that the server tells once.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { language } from "./language";
import type { Session } from "./schema";

export const Explored = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(Explored);
  if (!session) throw new Error("There is no session above this component.");
  return session;
}

/** Gives what a class is called in the language that is read. */
export function useClassTitle(): (name: string) => string {
  const session = useSession();
  const titles = session.class_titles[language()];
  return (name) => titles?.[session.classes.indexOf(name)] ?? name;
}
