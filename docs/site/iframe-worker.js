// A browser lets no page that was opened from a folder start a worker, and search runs in one. There it runs in a hidden frame.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(place) {
      super();
      const url = new URL(place, document.baseURI);
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      const page = this.frame.contentDocument;
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
      // Scripts that the worker asks for are fetched as elements, one after another, before what it is told next.
      inside.importScripts = (...urls) => urls.reduce((before, each) => before.then(() => this.load(each)), Promise.resolve());
      this.load = each => new Promise((resolve, reject) => {
        const script = Object.assign(page.createElement("script"), { src: new URL(each, url), onload: resolve, onerror: reject });
        page.body.append(script);
      });
      this.ready = this.load(url.href);
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() { this.frame.remove(); }
  };
}
