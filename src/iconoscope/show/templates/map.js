"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const data = JSON.parse(get("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const points = new Uint16Array(bytes(data.points).buffer);
  const labels = new Int16Array(bytes(data.labels).buffer);
  const predictions = new Int16Array(bytes(data.predictions).buffer);
  const wrong = bytes(data.wrong);
  const neighbours = new Uint32Array(bytes(data.neighbours).buffer);
  const grid = data.grid && new Uint16Array(bytes(data.grid.points).buffer);
  const count = data.count;
  const across = data.page / data.side, perPage = across * across;
  const hex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const inks = data.colours.map(hex);
  const GREY = [150, 150, 150], RIGHT = [190, 190, 190], WRONG = [214, 39, 40];
  const STEPS = 65535;

  // What is seen: the middle of the view on the map (0..1), how large the map is on the shorter side of the screen, and how it is drawn.
  const labelled = labels.some((label) => label >= 0);
  // Many classes are not told apart by colours.
  const many = new Set(labelled ? labels : predictions).size > 24;
  const FIRST = { x: 0.5, y: 0.5, z: 0.95, mode: "images", colour: many ? "none" : labelled ? "label" : "prediction",
    grid: 0, size: 0, only: 0, off: new Set(), picked: -1 };
  const view = { ...FIRST, off: new Set() };
  let hovered = -1;

  const stage = get("stage"), canvas = get("map"), over = get("over");
  const gl = canvas.getContext("webgl2", { antialias: false, alpha: false });
  if (!gl) {
    get("trouble").hidden = false;
    get("trouble").textContent = "This browser has no WebGL2, which draws the map. Another browser, or graphics switched on in this one, will show it.";
    return;
  }

  const VERTEX = `#version 300 es
    in vec2 place; in vec4 ink;
    uniform vec2 middle, scale, extent; uniform float side, across;
    out vec2 inside; out vec4 colour; flat out vec2 corner;
    void main() {
      inside = vec2(gl_VertexID & 1, gl_VertexID >> 1);
      colour = ink;
      corner = vec2(gl_InstanceID % int(across), gl_InstanceID / int(across)) * side;
      vec2 at = ((place - middle) * scale + (inside - 0.5) * extent) * vec2(1, -1);
      gl_Position = ink.a == 0.0 ? vec4(2, 2, 2, 1) : vec4(at, 0, 1);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec2 inside; in vec4 colour; flat in vec2 corner;
    uniform sampler2D page; uniform vec2 size; uniform float side, border; uniform bool dots, bare;
    out vec4 answer;
    void main() {
      if (dots) {
        if (distance(inside, vec2(0.5)) > 0.5) discard;
        answer = vec4(colour.rgb, 1);
      } else {
        vec2 within = (inside - border) / (1.0 - 2.0 * border);
        vec2 at = corner + clamp(within * side, 0.5, side - 0.5);
        vec3 seen = texture(page, at / size).rgb;
        bool framed = !bare && (any(lessThan(within, vec2(0))) || any(greaterThan(within, vec2(1))));
        answer = vec4(framed ? colour.rgb : seen, 1);
      }
    }`;
  const shader = (kind, text) => {
    const made = gl.createShader(kind);
    gl.shaderSource(made, text);
    gl.compileShader(made);
    if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(made));
    return made;
  };
  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, FRAGMENT));
  gl.linkProgram(program);
  gl.useProgram(program);
  const uniform = (name) => gl.getUniformLocation(program, name);
  const at = Object.fromEntries(["middle", "scale", "extent", "side", "across", "size", "border", "dots", "bare"].map((name) => [name, uniform(name)]));
  const buffers = { points: gl.createBuffer(), grid: gl.createBuffer(), inks: gl.createBuffer() };
  const fill = (buffer, values, use) => { gl.bindBuffer(gl.ARRAY_BUFFER, buffer); gl.bufferData(gl.ARRAY_BUFFER, values, use); };
  fill(buffers.points, points, gl.STATIC_DRAW);
  if (grid) fill(buffers.grid, grid, gl.STATIC_DRAW);

  // Thumbnails: one texture for each page, shrunk in steps down to two pixels, where neighbours would run into each other.
  const sheets = [...document.querySelectorAll("script.page")].map((element) => {
    const text = element.textContent;
    element.remove();
    return { blob: new Blob([bytes(text)], { type: "image/jpeg" }), texture: null, bitmap: null };
  });
  const loaded = Promise.all(sheets.map(async (sheet) => {
    sheet.bitmap = await createImageBitmap(sheet.blob, { colorSpaceConversion: "none" });
    sheet.blob = null;
    sheet.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, sheet.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE, sheet.bitmap);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAX_LEVEL, Math.log2(data.side) - 1);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    again();
  }));

  const colours = new Uint8Array(4 * count);
  const numberOf = (index) => (view.colour === "prediction" ? predictions[index] : labels[index]);
  const visible = (index) => colours[4 * index + 3] > 0;
  function paint() {
    for (let index = 0; index < count; index++) {
      const own = numberOf(index);
      let ink = own < 0 ? GREY : inks[own];
      if (view.colour === "mistake") ink = wrong[index] ? WRONG : RIGHT;
      colours.set(ink, 4 * index);
      colours[4 * index + 3] = view.off.has(own) || (view.only && !wrong[index]) ? 0 : 255;
    }
    fill(buffers.inks, colours, gl.DYNAMIC_DRAW);
  }

  // Places on the screen are in CSS pixels.
  const width = () => stage.clientWidth, height = () => stage.clientHeight;
  const unit = () => view.z * Math.min(width(), height());
  const onGrid = () => Boolean(view.grid && grid);
  const pointsNow = () => (onGrid() ? grid : points);
  function extent() {
    const free = unit() * (onGrid() ? data.grid.spacing : data.spacing) * 2 ** view.size;
    if (view.mode === "dots") return Math.min(Math.max(free * 0.8, 2.5), 12 * 2 ** view.size);
    return Math.min(Math.max(free, 3), Math.max(64, data.side) * (onGrid() ? 4 : 2 ** Math.max(view.size, 0)));
  }
  const border = () => (view.colour === "none" || extent() < 7 ? 0 : Math.max(1, extent() / 18));
  const toScreen = (index) => {
    const now = pointsNow();
    return [(now[2 * index] / STEPS - view.x) * unit() + width() / 2, (now[2 * index + 1] / STEPS - view.y) * unit() + height() / 2];
  };
  function pick(x, y) {
    const half = extent() / 2, now = pointsNow();
    const dots = view.mode === "dots" || !sheets.every((sheet) => sheet.texture);
    const reach = (half / unit()) * STEPS;
    const mapX = ((x - width() / 2) / unit() + view.x) * STEPS, mapY = ((y - height() / 2) / unit() + view.y) * STEPS;
    // What is drawn last lies on top.
    for (let index = count - 1; index >= 0; index--) {
      const dx = now[2 * index] - mapX, dy = now[2 * index + 1] - mapY;
      if (Math.abs(dx) > reach || Math.abs(dy) > reach || !visible(index)) continue;
      if (dots && dx * dx + dy * dy > reach * reach) continue;
      return index;
    }
    return -1;
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const w = width(), h = height();
    for (const each of [canvas, over]) {
      if (each.width !== Math.round(w * ratio) || each.height !== Math.round(h * ratio)) {
        each.width = Math.round(w * ratio);
        each.height = Math.round(h * ratio);
      }
    }
    const style = getComputedStyle(document.documentElement);
    const paper = hex(style.getPropertyValue("--paper").trim()).map((part) => part / 255);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(...paper, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(at.middle, view.x, view.y);
    gl.uniform2f(at.scale, (2 * unit()) / w, (2 * unit()) / h);
    gl.uniform2f(at.extent, (2 * extent()) / w, (2 * extent()) / h);
    gl.uniform1f(at.side, data.side);
    gl.uniform1f(at.across, across);
    gl.uniform1f(at.border, border() / extent());
    gl.uniform1i(at.bare, border() === 0 ? 1 : 0);
    const attribute = { place: gl.getAttribLocation(program, "place"), ink: gl.getAttribLocation(program, "ink") };
    sheets.forEach((sheet, number) => {
      const first = number * perPage, here = Math.min(perPage, count - first);
      gl.bindBuffer(gl.ARRAY_BUFFER, onGrid() ? buffers.grid : buffers.points);
      gl.enableVertexAttribArray(attribute.place);
      gl.vertexAttribPointer(attribute.place, 2, gl.UNSIGNED_SHORT, true, 4, 4 * first);
      gl.vertexAttribDivisor(attribute.place, 1);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.inks);
      gl.enableVertexAttribArray(attribute.ink);
      gl.vertexAttribPointer(attribute.ink, 4, gl.UNSIGNED_BYTE, true, 4, 4 * first);
      gl.vertexAttribDivisor(attribute.ink, 1);
      gl.uniform1i(at.dots, view.mode === "dots" || !sheet.texture ? 1 : 0);
      if (sheet.texture) {
        gl.bindTexture(gl.TEXTURE_2D, sheet.texture);
        gl.uniform2f(at.size, sheet.bitmap.width, sheet.bitmap.height);
      }
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, here);
    });
    mark(ratio, style.getPropertyValue("--mark").trim());
    count_();
  }
  // Lines to the neighbours of the picked image, and frames around it and the one that is pointed at.
  function mark(ratio, ink) {
    const pen = over.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width(), height());
    const frame = (index, thick) => {
      const [x, y] = toScreen(index), half = extent() / 2 + thick / 2;
      pen.lineWidth = thick;
      pen.strokeRect(x - half, y - half, 2 * half, 2 * half);
    };
    pen.strokeStyle = pen.fillStyle = ink;
    if (view.picked >= 0) {
      const [x, y] = toScreen(view.picked);
      for (const other of near(view.picked)) {
        if (!visible(other)) continue;
        const [toX, toY] = toScreen(other);
        pen.lineWidth = 1;
        pen.beginPath();
        pen.moveTo(x, y);
        pen.lineTo(toX, toY);
        pen.stroke();
        frame(other, 1);
      }
      frame(view.picked, 3);
    }
    if (hovered >= 0) {
      frame(hovered, 2);
      label(pen, hovered);
    }
  }
  function label(pen, index) {
    const lines = [data.ids[index], ...(labels[index] < 0 ? [] : [sayLabel(index)]), `network: ${data.classes[predictions[index]]}`];
    const style = getComputedStyle(document.documentElement), large = 96;
    pen.font = "13px system-ui, sans-serif";
    const wide = large + 20 + Math.max(...lines.map((line) => pen.measureText(line).width)), high = large + 8;
    const [x, y] = toScreen(index);
    const left = Math.min(Math.max(x - wide / 2, 4), Math.max(4, width() - wide - 4));
    const above = y - extent() / 2 - high - 8;
    const top = above > 0 ? above : y + extent() / 2 + 8;
    pen.fillStyle = style.getPropertyValue("--card").trim();
    pen.fillRect(left, top, wide, high);
    pen.lineWidth = 1;
    pen.strokeRect(left, top, wide, high);
    portray(pen, index, left + 4, top + 4, large);
    pen.fillStyle = style.getPropertyValue("--ink").trim();
    lines.forEach((line, place) => pen.fillText(line, left + large + 12, top + 20 + 20 * place));
  }
  function portray(pen, index, left, top, large) {
    const sheet = sheets[Math.floor(index / perPage)], cell = index % perPage;
    if (!sheet.bitmap) return;
    pen.imageSmoothingEnabled = data.side >= large;
    pen.drawImage(sheet.bitmap, (cell % across) * data.side, Math.floor(cell / across) * data.side, data.side, data.side, left, top, large, large);
  }
  function count_() {
    const half = extent() / 2, reach = [(width() / 2 + half) / unit() * STEPS, (height() / 2 + half) / unit() * STEPS], now = pointsNow();
    let shown = 0;
    for (let index = 0; index < count; index++) {
      if (visible(index) && Math.abs(now[2 * index] - view.x * STEPS) <= reach[0] && Math.abs(now[2 * index + 1] - view.y * STEPS) <= reach[1]) shown++;
    }
    const text = `showing ${shown.toLocaleString("en")} of ${count.toLocaleString("en")}`;
    if (get("shown").textContent !== text) get("shown").textContent = text;
  }
  let asked = false;
  function again() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }

  // The view is kept in the address.
  let later = 0;
  function remember() {
    clearTimeout(later);
    later = setTimeout(() => {
      const kept = new URLSearchParams();
      for (const name of ["x", "y", "z"]) kept.set(name, view[name].toPrecision(7));
      for (const name of ["mode", "colour", "grid", "size", "only"]) if (view[name] !== FIRST[name]) kept.set(name, view[name]);
      if (view.off.size) kept.set("off", [...view.off].join(","));
      if (view.picked >= 0) kept.set("image", data.ids[view.picked]);
      history.replaceState(null, "", `#${kept}`);
    }, 150);
  }
  function recall() {
    const kept = new URLSearchParams(location.hash.slice(1));
    Object.assign(view, { ...FIRST, off: new Set() });
    for (const name of ["x", "y", "z", "grid", "size", "only"]) {
      const value = Number(kept.get(name));
      if (kept.has(name) && Number.isFinite(value)) view[name] = value;
    }
    view.z = Math.min(Math.max(view.z, 0.2), LARGEST);
    if (["images", "dots"].includes(kept.get("mode"))) view.mode = kept.get("mode");
    if (["label", "prediction", "mistake", "none"].includes(kept.get("colour"))) view.colour = kept.get("colour");
    if (kept.get("off")) view.off = new Set(kept.get("off").split(",").map(Number));
    view.picked = kept.has("image") ? data.ids.indexOf(kept.get("image")) : -1;
    refresh();
  }
  const LARGEST = Math.max(40, Math.sqrt(count) * 2);
  function zoom(factor, x = width() / 2, y = height() / 2) {
    const before = unit();
    view.z = Math.min(Math.max(view.z * factor, 0.2), LARGEST);
    // What is under the pointer stays there.
    view.x += (x - width() / 2) * (1 / before - 1 / unit());
    view.y += (y - height() / 2) * (1 / before - 1 / unit());
    moved();
  }
  function move(dx, dy) {
    view.x = Math.min(Math.max(view.x - dx / unit(), -0.2), 1.2);
    view.y = Math.min(Math.max(view.y - dy / unit(), -0.2), 1.2);
    moved();
  }
  function moved() { remember(); again(); }

  const near = (index) => [...neighbours.subarray(index * data.near, (index + 1) * data.near)];
  const sayLabel = (index) => (labels[index] < 0 ? "none" : data.classes[labels[index]]);
  function choose(index, follow) {
    view.picked = index;
    if (follow && index >= 0) {
      const [x, y] = toScreen(index);
      if (x < 20 || y < 20 || x > width() - 20 || y > height() - 20) {
        const now = pointsNow();
        view.x = now[2 * index] / STEPS;
        view.y = now[2 * index + 1] / STEPS;
      }
    }
    tell();
    moved();
  }
  function tell() {
    const index = view.picked;
    get("picked").hidden = index < 0;
    if (index < 0) return;
    portray(get("portrait").getContext("2d"), index, 0, 0, 160);
    get("id").textContent = data.ids[index];
    get("label").textContent = sayLabel(index);
    get("prediction").textContent = data.classes[predictions[index]];
    get("prediction").className = wrong[index] ? "wrong" : labels[index] >= 0 ? "right" : "";
    get("near").replaceChildren(...near(index).map((other) => {
      const button = document.createElement("button"), picture = document.createElement("canvas");
      picture.width = picture.height = 64;
      portray(picture.getContext("2d"), other, 0, 0, 64);
      button.type = "button";
      button.title = data.ids[other];
      button.append(picture, labels[other] < 0 ? data.classes[predictions[other]] : sayLabel(other));
      button.addEventListener("click", () => choose(other, true));
      return button;
    }));
  }

  // Controls.
  const buttons = [...document.querySelectorAll("[data-set]")];
  function refresh() {
    for (const button of buttons) {
      const { set, value } = button.dataset;
      button.setAttribute("aria-pressed", String(set === "grid" ? Boolean(view.grid) : view[set] === value));
    }
    get("size").value = view.size;
    get("only").checked = Boolean(view.only);
    paint();
    legend();
    tell();
    moved();
  }
  function legend() {
    const byClass = new Map();
    for (let index = 0; index < count; index++) byClass.set(numberOf(index), (byClass.get(numberOf(index)) || 0) + 1);
    get("legend-title").textContent = view.colour === "prediction" ? "The network says" : "Labels";
    const keys = [];
    if (view.colour === "mistake") {
      for (const [name, ink] of [["right", RIGHT], ["wrong", WRONG]]) {
        const key = document.createElement("span"), mark = document.createElement("i");
        key.className = "key";
        mark.style.background = `rgb(${ink})`;
        key.append(mark, name);
        keys.push(key);
      }
    }
    get("legend").replaceChildren(...keys, ...[...byClass].sort((a, b) => a[0] - b[0]).map(([number, many]) => {
      const button = document.createElement("button"), mark = document.createElement("i"), small = document.createElement("small");
      const plain = view.colour === "mistake" || view.colour === "none";
      mark.style.background = number < 0 ? `rgb(${GREY})` : data.colours[number];
      small.textContent = many.toLocaleString("en");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!view.off.has(number)));
      button.append(...(plain ? [] : [mark]), number < 0 ? "no label" : data.classes[number], small);
      button.addEventListener("click", () => {
        if (!view.off.delete(number)) view.off.add(number);
        refresh();
      });
      return button;
    }));
  }
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const { set, value } = button.dataset;
      if (set === "colour" && value !== view.colour && (value === "prediction" || view.colour === "prediction")) view.off.clear();
      view[set] = set === "grid" ? (view.grid ? 0 : 1) : value;
      refresh();
    });
  }
  get("togrid").hidden = !grid;
  for (const element of [get("only").parentElement, document.querySelector('[data-value="mistake"]')]) element.hidden = !data.judged;
  document.querySelector('[data-value="label"]').hidden = !labelled;
  get("size").addEventListener("input", (event) => { view.size = Number(event.target.value); moved(); });
  get("only").addEventListener("change", (event) => { view.only = event.target.checked ? 1 : 0; refresh(); });
  get("all").addEventListener("click", () => { view.off.clear(); refresh(); });
  get("none").addEventListener("click", () => {
    for (let index = 0; index < count; index++) view.off.add(numberOf(index));
    refresh();
  });
  const home = () => { Object.assign(view, { x: 0.5, y: 0.5, z: 0.95 }); moved(); };
  get("home").addEventListener("click", home);
  get("close").addEventListener("click", () => choose(-1));
  get("find").addEventListener("change", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    if (!wanted) return;
    const start = view.picked + 1;
    for (let step = 0; step < count; step++) {
      const index = (start + step) % count;
      if (data.ids[index].toLowerCase().includes(wanted)) { choose(index, true); return; }
    }
    event.target.setCustomValidity("No image has such an id.");
    event.target.reportValidity();
  });
  get("find").addEventListener("input", (event) => event.target.setCustomValidity(""));

  // Pointer, wheel, touch and keys.
  const down = new Map();
  let began = null, apart = 0;
  const place = (event) => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
    began = down.size === 1 ? place(event) : null;
    apart = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event), before = down.get(event.pointerId);
    if (!before) {
      const found = pick(x, y);
      if (found !== hovered && event.pointerType !== "touch") { hovered = found; again(); }
      return;
    }
    down.set(event.pointerId, [x, y]);
    if (began && Math.hypot(x - began[0], y - began[1]) > 4) { began = null; hovered = -1; }
    if (down.size === 1 && !began) move(x - before[0], y - before[1]);
    if (down.size === 2) {
      const [a, b] = [...down.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (apart) zoom(now / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      apart = now;
    }
  });
  const up = (event) => {
    if (began && event.type === "pointerup") choose(pick(...place(event)));
    down.delete(event.pointerId);
    began = null;
    apart = 0;
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => { if (hovered >= 0) { hovered = -1; again(); } });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...place(event));
  }, { passive: false });
  const COLOURS = ["label", "prediction", "mistake", "none"];
  const keys = {
    ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0), ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: home,
    d: () => { view.mode = view.mode === "dots" ? "images" : "dots"; refresh(); },
    g: () => { if (grid) { view.grid = view.grid ? 0 : 1; refresh(); } },
    c: () => {
      const usable = COLOURS.filter((name) => !document.querySelector(`[data-value="${name}"]`).hidden);
      view.colour = usable[(usable.indexOf(view.colour) + 1) % usable.length];
      view.off.clear();
      refresh();
    },
    n: () => { if (view.picked >= 0) choose(near(view.picked)[0], true); },
    Enter: () => choose(pick(width() / 2, height() / 2)),
    Escape: () => choose(-1),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search], input[type=range]") || (event.key === "Enter" && event.target !== canvas);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  window.addEventListener("resize", again);
  window.addEventListener("hashchange", recall);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  canvas.addEventListener("webglcontextlost", () => {
    get("trouble").hidden = false;
    get("trouble").textContent = "The graphics card let go of the map; load the page again.";
  });

  recall();
  loaded.then(() => { tell(); again(); document.body.dataset.ready = "yes"; }, (error) => {
    get("trouble").hidden = false;
    get("trouble").textContent = `The images cannot be shown: ${error.message}`;
  });
})();
