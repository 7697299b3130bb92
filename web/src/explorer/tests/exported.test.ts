import { describe, expect, it } from "vitest";
import { narrowedUnits, scriptName, searchedImages } from "../exported";

describe("an export", () => {
  it("names scripts as the writer does", () => {
    expect(scriptName("images/1234?network=1")).toBe("images_12_network_1");
    expect(scriptName("units/logit%3ATruck")).toBe("units_logit_3atruck");
  });

  it("searches in the list of all images as the server does", () => {
    const images = ["cat", "dog", "cat"].map((label, number) => ({ number, id: `image-${number}`, label, prediction: "cat", wrong: label !== "cat", other: number === 2 ? "dog" : "" }));
    const search = (query: string) => searchedImages({ total: 3, images }, new URLSearchParams(query)).images.map(({ number }) => number);
    expect(search("")).toEqual([0, 1, 2]);
    expect(search("q=IMAGE-2")).toEqual([2]);
    expect(search("label=dog&prediction=cat")).toEqual([1]);
    expect(search("mistakes=1")).toEqual([1]);
    expect(search("differ=1")).toEqual([2]);
    expect(search("from=1&limit=1")).toEqual([1]);
  });

  it("finds the units of one layer", () => {
    const units = ["a.b:1", "a:2", "a.b:3"].map((unit) => ({ unit, auc: 0.9, auc_held_out: null, recall: null, alone: null }));
    const all = { class_name: "cat", units, tested: false, held_out: 0, alone: [], commands: { python: "", shell: "" } };
    expect(narrowedUnits(all, new URLSearchParams("layer=a.b&limit=1")).units.map(({ unit }) => unit)).toEqual(["a.b:1"]);
  });
});
