// Makes every picture of an occlusion in the page one that is felt over with a patch.
//
// A page without this script shows what lies in the element already: the pictures. Nothing is fetched and nothing is kept.
import { LivePatch, type PackedPicture } from "./component";

const FORMAT = "1"; // pages of another version bring their own script

function awaken(host: HTMLElement): void {
  const data = host.querySelector<HTMLScriptElement>(":scope > script.answers");
  if (!data) return;
  const packed = JSON.parse(data.textContent ?? "") as PackedPicture;
  const photograph = host.querySelector<HTMLImageElement>("img[data-photograph]");
  new LivePatch(host, packed, packed.picture || (photograph?.src ?? ""));
}

function awakenAll(): void {
  for (const host of document.querySelectorAll<HTMLElement>(`.iconoscope-live[data-format="${FORMAT}"]:not([data-live])`)) {
    host.dataset.live = "yes";
    try {
      awaken(host);
    } catch (error) {
      // One damaged picture must not take the others with it: it stays as it is without a script.
      host.dataset.live = "no";
      console.error(error);
    }
  }
}

awakenAll();
document.addEventListener("DOMContentLoaded", awakenAll);
