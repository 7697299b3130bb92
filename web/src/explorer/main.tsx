// The explorer: which page the address names, and what stands around every page.
import { render } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { AtlasPage } from "./atlas_page";
import { change, go, link, unknownPage, useAddress, type Address, type PageName } from "./address";
import { Explored } from "./explored";
import { ImagePage } from "./image_page";
import { ImagesPage } from "./images_page";
import { useJourney } from "./journey";
import { entitle, LANGUAGES, language, read, say, type Language } from "./language";
import { LayerPage } from "./layer_page";
import { MapPage } from "./map_page";
import { NetworkPage } from "./network_page";
import { Trouble, Waiting } from "./parts";
import type { Session } from "./schema";
import { NetworkNumber, useAnswer } from "./server";
import { UnitPage } from "./unit_page";
import { OwnPhotograph } from "./own_photograph";

function Page({ address }: { address: Address }) {
  switch (address.page) {
    case "network":
      return <NetworkPage settings={address.settings} />;
    case "layer":
      return <LayerPage key={address.name} name={address.name} settings={address.settings} />;
    case "unit":
      return <UnitPage key={address.name} name={address.name} settings={address.settings} />;
    case "image":
      return <ImagePage key={address.name} name={address.name} settings={address.settings} />;
    case "images":
      return <ImagesPage settings={address.settings} />;
    case "map":
      return <MapPage settings={address.settings} />;
    case "atlas":
      return <AtlasPage settings={address.settings} />;
  }
}

const COLUMNS: readonly PageName[] = ["network", "layer", "unit"]; // pages of which two stand beside each other
const BESIDE: readonly PageName[] = [...COLUMNS, "map"]; // pages that are about both networks where one wants it; that of an image always is

/** Whether two networks are to stand beside each other. */
const isBeside = (session: Session, address: Address) => session.networks.length > 1 && address.settings["beside"] === "1" && BESIDE.includes(address.page);

function Pages({ session, address }: { session: Session; address: Address }) {
  if (!isBeside(session, address) || !COLUMNS.includes(address.page)) return <Page address={address} />;
  return (
    <>
      {session.networks.map((network) => (
        <NetworkNumber.Provider value={network.number}>
          <section class="column" aria-label={network.name}>
            <p class="network-name">{network.name}</p>
            <Page address={address} />
          </section>
        </NetworkNumber.Provider>
      ))}
    </>
  );
}

function Header({ session, address, speak }: { session: Session; address: Address; speak: (language: Language) => void }) {
  const here = (...pages: string[]) => (pages.includes(address.page) ? { "aria-current": "page" as const } : {});
  const bar = useRef<HTMLElement>(null);
  useHeight(bar, "--top");
  return (
    <header class="top" ref={bar}>
      <button type="button" class="skip" onClick={() => document.querySelector("main")?.focus()}>
        {say("skip")}
      </button>
      <a class="maker" href={link("network")}>
        iconoscope
      </a>
      <nav aria-label={say("pages")}>
        <a href={link("network")} {...here("network", "layer", "unit")}>
          {say("network")}
        </a>
        {session.images > 0 && (
          <a href={link("images")} {...here("images", "image")}>
            {say("images")}
          </a>
        )}
        {session.map && (
          <a href={link("map")} {...here("map")}>
            {say("map")}
          </a>
        )}
        {session.atlas && (
          <a href={link("atlas")} {...here("atlas")}>
            {say("atlas")}
          </a>
        )}
      </nav>
      {session.images > 0 && <Search text={address.page === "images" ? (address.settings["q"] ?? "") : ""} key={address.page + address.name} />}
      {session.asks && <OwnPhotograph />}
      {session.networks.length > 1 && !isBeside(session, address) && <NetworkSwitch session={session} address={address} />}
      {session.networks.length > 1 && BESIDE.includes(address.page) && (
        <button type="button" aria-pressed={isBeside(session, address)} onClick={() => change({ beside: isBeside(session, address) ? "" : "1" }, { step: true })}>
          {say("beside")}
        </button>
      )}
      <div class="languages" role="group" aria-label={say("language")}>
        {LANGUAGES.map((each) => (
          <button type="button" class="quiet" lang={each} aria-pressed={each === language()} onClick={() => speak(each)}>
            {each}
          </button>
        ))}
      </div>
    </header>
  );
}

/** Tells the styles how high an element is: lines of it break as they must, and others stand below. */
function useHeight(element: { current: HTMLElement | null }, name: string): void {
  useLayoutEffect(() => {
    if (!element.current) return;
    const measured = element.current, tell = () => document.documentElement.style.setProperty(name, `${measured.offsetHeight}px`);
    const sized = new ResizeObserver(tell);
    sized.observe(measured);
    tell();
    return () => sized.disconnect();
  }, []);
}

function NetworkSwitch({ session, address }: { session: Session; address: Address }) {
  return (
    <select
      aria-label={say("network")}
      value={address.settings["network"] ?? "0"}
      onChange={(event) => change({ network: event.currentTarget.value === "0" ? "" : event.currentTarget.value }, { step: true })}
    >
      {session.networks.map((network) => (
        <option value={String(network.number)}>{network.name}</option>
      ))}
    </select>
  );
}

function Search({ text: sought }: { text: string }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const text = (new FormData(event.currentTarget as HTMLFormElement).get("q") as string).trim();
    go("images", "", { q: text });
  };
  return (
    <form class="search" role="search" onSubmit={submit}>
      <input name="q" type="search" defaultValue={sought} placeholder={say("search")} aria-label={say("search")} autocomplete="off" />
    </form>
  );
}

function Explorer() {
  const address = useAddress();
  const [, setSpoken] = useState(language());
  const { value: session, problem } = useAnswer<Session>("session", 0);
  const speak = (chosen: Language) => {
    read(chosen);
    setSpoken(chosen);
  };
  useEffect(() => {
    if (address.page !== "image") entitle(address.name || say(address.page)); // the page of an image knows what it is called
  }, [address.page, address.name, language()]);
  useJourney(`${address.page} ${address.name}`);
  const unknown = unknownPage(location.hash);
  if (problem) return <Trouble problem={problem} />;
  if (!session) return <Waiting />;
  return (
    <Explored.Provider value={session}>
      <Header session={session} address={address} speak={speak} />
      <main tabIndex={-1} class={isBeside(session, address) && COLUMNS.includes(address.page) ? "beside" : `page-${address.page}`}>
        {unknown && <Trouble problem={{ kind: "not found", message: say("no such page", { name: unknown }), hint: say("no such page hint") }} />}
        <Pages session={session} address={address} />
      </main>
    </Explored.Provider>
  );
}

// The token of the first address is a cookie by now, and must not lie about in links and in the history.
if (location.search) history.replaceState(history.state, "", location.pathname + location.hash);
read(language());
const root = document.getElementById("app");
if (root) render(<Explorer />, root);
