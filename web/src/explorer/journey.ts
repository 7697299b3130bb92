// Where one is on a page: the place to which it is scrolled, which the back button and a reload bring back, and the focus, which goes with one.
import { useEffect } from "preact/hooks";

const LATER = 150; // milliseconds without scrolling after which the place is written down
const PATIENCE = 10_000; // for which a page that is still being filled may become as long as it was

let again = ""; // what was followed: a link that is also on the next page, as that to the next image
let returning = 0; // the frame at which the place is tried next; 0 where one is there

/** The place that this entry of the history remembers; null for a page that is new. */
function remembered(): number | null {
  const state = history.state as { y?: unknown } | null;
  return typeof state?.y === "number" ? state.y : null;
}

/** Remembers where one scrolls to, and by which links one goes on. */
function remember(): void {
  history.scrollRestoration = "manual"; // a browser would do it before the page is there
  let later = 0;
  const write = () => {
    if (!returning) history.replaceState({ y: Math.round(scrollY) }, "");
  };
  window.addEventListener("scroll", () => {
    window.clearTimeout(later);
    later = window.setTimeout(write, LATER);
  });
  window.addEventListener("hashchange", () => window.clearTimeout(later)); // what was scrolled was the page before
  document.addEventListener("click", (event) => {
    again = (event.target as Element).closest<HTMLElement>("[data-again]")?.dataset["again"] ?? "";
  });
  for (const moved of ["wheel", "touchstart", "pointerdown", "keydown"]) window.addEventListener(moved, stay, { passive: true, capture: true });
}

/** Whoever moves by hand is not taken elsewhere any more. */
function stay(): void {
  cancelAnimationFrame(returning);
  returning = 0;
}

/** Goes where one was on this page or, on a new one, to its top. */
function arrive(): void {
  stay();
  const place = remembered() ?? 0, until = performance.now() + PATIENCE;
  const focus = (selector: string) => document.querySelector<HTMLElement>(selector)?.focus({ preventScroll: true });
  const attempt = () => {
    scrollTo(0, place);
    if (again && document.querySelector(`[data-again="${again}"]`)) {
      focus(`[data-again="${again}"]`);
      again = "";
    }
    const isThere = Math.abs(scrollY - place) < 2 && !again;
    returning = isThere || performance.now() > until ? 0 : requestAnimationFrame(attempt);
  };
  focus("main");
  attempt();
}

/** Has the focus and the place follow from page to page; `page` is another for each. */
export function useJourney(page: string): void {
  useEffect(remember, []);
  useEffect(arrive, [page]);
}
