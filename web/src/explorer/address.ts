// Where one is: the part of the address behind #, which brings everything back.
import { useLayoutEffect, useState } from "preact/hooks";

const PAGES = ["network", "layer", "unit", "image", "images", "map", "atlas"] as const;

export type PageName = (typeof PAGES)[number];

/** Pages that are about one thing, and that of all of them, where the address names none. */
const OF_ALL: Partial<Record<PageName, PageName>> = { layer: "network", unit: "network", image: "images" };

/** Settings of a page by name; one that is empty does not stand in the address. */
export type Settings = Readonly<Record<string, string>>;

export interface Address {
  page: PageName;
  name: string; // of the layer, unit or image
  settings: Settings;
}

/** Encodes a name, but leaves what units are written with as it is read. */
function written(name: string): string {
  return encodeURIComponent(name).replace(/%3A/g, ":").replace(/%40/g, "@").replace(/%2C/g, ",");
}

export function writeAddress({ page, name, settings }: Address): string {
  const query = Object.entries(settings)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${written(key)}=${written(value)}`)
    .join("&");
  return `#/${page}${name ? `/${written(name)}` : ""}${query ? `?${query}` : ""}`;
}

/** Reads an address; what is no page of ours is the first one, and what cannot be decoded is left out. */
export function readAddress(hash: string): Address {
  const text = hash.replace(/^#?\/?/, "");
  const cut = text.indexOf("?");
  const [path, query] = cut < 0 ? [text, ""] : [text.slice(0, cut), text.slice(cut + 1)];
  const slash = path.indexOf("/");
  const [first, name] = slash < 0 ? [path, ""] : [path.slice(0, slash), path.slice(slash + 1)];
  const known = PAGES.find((name) => name === first) ?? "network", page = (!name && OF_ALL[known]) || known;
  return { page, name: decoded(name), settings: Object.fromEntries(new URLSearchParams(query)) };
}

/** The first part of an address that names no page of ours; empty where it does, or names none. */
export function unknownPage(hash: string): string {
  const [first = ""] = hash.replace(/^#?\/?/, "").split(/[/?]/);
  return PAGES.some((name) => name === first) ? "" : decoded(first);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is a sign like another
  }
}

/** The address of a page as a link has it; the network that is looked at stays, and whether another stands beside it. */
export function link(page: PageName, name = "", settings: Settings = {}): string {
  const now = readAddress(location.hash).settings;
  return writeAddress({ page, name, settings: { network: now["network"] ?? "", beside: now["beside"] ?? "", ...settings } });
}

const listeners = new Set<() => void>();

/** Changes settings of this page. `step` makes it one that the back button undoes. */
export function change(settings: Settings, { step = false } = {}): void {
  const now = readAddress(location.hash);
  const hash = writeAddress({ ...now, settings: { ...now.settings, ...settings } });
  if (hash === location.hash) return;
  // What the entry remembers of the page stays: it is the same page.
  if (step) history.pushState(history.state, "", hash);
  else history.replaceState(history.state, "", hash);
  for (const listener of listeners) listener();
}

export function go(page: PageName, name = "", settings: Settings = {}): void {
  location.hash = link(page, name, settings);
}

/** The address, and it anew whenever it changes. */
export function useAddress(): Address {
  const [hash, setHash] = useState(location.hash);
  useLayoutEffect(() => {
    const follow = () => setHash(location.hash);
    follow(); // it may have changed before anybody listened
    listeners.add(follow);
    window.addEventListener("hashchange", follow);
    window.addEventListener("popstate", follow);
    return () => {
      listeners.delete(follow);
      window.removeEventListener("hashchange", follow);
      window.removeEventListener("popstate", follow);
    };
  }, []);
  return readAddress(hash);
}
