import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => "es", setItem: () => undefined });

const { number, percent, say } = await import("../language");
const { shownClasses } = await import("../answer_bars");
const { strides } = await import("../heat_map");
const { continued, stepsOffered, turns } = await import("../live_optimization");
const { fieldShown } = await import("../parts");
const { readInterval } = await import("../spectrum");
const { ordered } = await import("../unit_order");
const { readLine, writeLine } = await import("../selection");
const { imagesInside, rectangle, thinned } = await import("../../map/lasso");

describe("what is chosen and in which order it is shown", () => {
  it("writes numbers as Spanish does", () => {
    expect(number(0.125, 3)).toBe("0,125");
    expect(number(2000)).toBe("2.000");
    expect(percent(0.5).replace(/\s/, " ")).toBe("50 %");
    expect(say("selected", { count: 1200 })).toBe("1.200 im\u00e1genes elegidas");
  });

  it("says one thing as one", () => {
    expect(say("dead count", { count: 1 })).toBe("1 muerta");
    expect(say("dead count", { count: 2 })).toBe("2 muertas");
    expect(say("images total", { total: 1 })).toBe("1 imagen");
  });

  const frame = (step: number, name: string) => ({ step, steps: 9, activation: 0, probabilities: [{ name, index: 0, probability: 1 }], picture: "", gradient: "", ended: false, key: "", commands: null });

  it("shows a picture that begins again from there on alone", () => {
    const frames = [0, 4, 7, 0, 5, 9].map((step) => frame(step, "a"));
    expect(frames.reduce(continued, [] as typeof frames).map(({ step }) => step)).toEqual([0, 5, 9]);
  });

  it("knows at which frames the answer changes", () => {
    expect(turns([frame(1, "a"), frame(2, "a"), frame(3, "b"), frame(5, "b"), frame(8, "a")])).toEqual([2, 4]);
    expect(turns([])).toEqual([]);
  });

  it("offers the usual number of steps, and that of the address, among the others", () => {
    expect(stepsOffered(100, null)).toEqual([32, 64, 100, 128, 256, 512]);
    expect(stepsOffered(64, 7)).toEqual([7, 32, 64, 128, 256, 512]);
  });

  it("frames a field, and crops around a small one", () => {
    expect(fieldShown([], [96, 96])).toEqual({ side: 96, cropped: false, framed: false });
    expect(fieldShown([0, 0, 96, 96], [96, 96])).toEqual({ side: 96, cropped: false, framed: false });
    expect(fieldShown([10, 10, 20, 20], [96, 96])).toEqual({ side: 32, cropped: true, framed: true });
    expect(fieldShown([10, 10, 60, 60], [96, 96])).toEqual({ side: 50, cropped: true, framed: false });
  });

  it("shows the first classes, then what was first before, and the label", () => {
    const clean = [0.9, 0.05, 0.02, 0.01, 0.01, 0.005, 0.003, 0.002];
    const under = [0, 0.1, 0.2, 0.3, 0.15, 0.15, 0.1, 0];
    expect(shownClasses(clean, null, 1)).toEqual([0, 1, 2, 3, 4]);
    expect(shownClasses(clean, under, 7)).toEqual([3, 2, 4, 5, 1, 0, 7]);
    expect(shownClasses(clean, under, -1)).toEqual([3, 2, 4, 5, 1, 0]);
  });

  it("shows of many classes those that a sort would put first, of equal ones the earlier", () => {
    let seed = 1;
    const draw = () => (seed = (seed * 48271) % 2147483647) % 50;
    for (let round = 0; round < 50; round++) {
      const values = Array.from({ length: 1 + (round % 40) }, draw);
      const sorted = values.map((value, index) => ({ value, index })).sort((one, other) => other.value - one.value || one.index - other.index);
      expect(shownClasses(values, values, -1)).toEqual(sorted.slice(0, 5).map(({ index }) => index));
    }
  });

  it("asks for coarse maps first, and never twice for one", () => {
    expect(strides(16)).toEqual([16, 8, 4, 2]);
    expect(strides(2)).toEqual([2, 1]);
  });

  it("reads an interval in order and within the edges", () => {
    expect(readInterval({ low: "5", high: "-2" }, [0, 1, 4])).toEqual([0, 4]);
    expect(readInterval({ low: "1" }, [0, 4])).toBeNull();
  });

  it("puts units in order, those without a value last", () => {
    const unit = (number: number, selectivity: number | null) => ({
      unit: `conv:${number}`, number, selectivity, dead: false, class_name: "", answered: 0, maximum: 0, strongest: 0, field: [], optimized: "", likeness: null,
    });
    const units = [unit(0, null), unit(1, 0.5), unit(2, 0.9), unit(3, 0.5)];
    expect(ordered(units, "selectivity", new Map()).map(({ number }) => number)).toEqual([2, 1, 3, 0]);
    expect(ordered(units, "number", new Map()).map(({ number }) => number)).toEqual([0, 1, 2, 3]);
    expect(ordered(units, "class", new Map([["conv:3", 0.7]])).map(({ number }) => number)).toEqual([3, 0, 1, 2]);
  });

  it("finds the images inside of a line, wherever it bends", () => {
    const points = Uint16Array.from([10, 10, 50, 50, 90, 10, 10, 90]);
    expect(imagesInside(rectangle([0, 0], [60, 60]), points, () => true)).toEqual([0, 1]);
    const bent = [[0, 0], [100, 0], [100, 20], [20, 20], [20, 100], [0, 100]] as [number, number][];
    expect(imagesInside(bent, points, () => true)).toEqual([0, 2, 3]);
    expect(imagesInside(bent, points, (index) => index !== 2)).toEqual([0, 3]);
  });

  it("keeps a line in the address", () => {
    const line = [[0, 0], [65535, 0], [655.35, 6553.5]] as [number, number][];
    expect(readLine(writeLine(line))).toEqual(line.map((place) => place.map((part) => expect.closeTo(part, 0) as number)));
    expect(readLine("0,0_1,1")).toBeNull();
    expect(thinned([[0, 0], [1, 0], [3, 0]], 2)).toEqual([[0, 0], [3, 0]]);
  });
});
