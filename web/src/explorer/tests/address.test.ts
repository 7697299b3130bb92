import { beforeEach, describe, expect, it, vi } from "vitest";
import { link, readAddress, unknownPage, writeAddress, type Address } from "../address";

beforeEach(() => vi.stubGlobal("location", { hash: "#/network" }));

describe("an address", () => {
  const addresses: Address[] = [
    { page: "network", name: "", settings: {} },
    { page: "unit", name: "layer3.2.conv2:17@5,3", settings: { low: "0.5", high: "1e-7" } },
    { page: "unit", name: "logit:a name & more?/ # 100% \u00f1", settings: { start: "image:upload-1" } },
    { page: "image", name: "12", settings: { patch: "14,12,8,8" } },
    { page: "images", name: "", settings: { q: "a=b&c \u00f1 +" } },
  ];

  it.each(addresses)("is read as it was written: %j", (address) => {
    expect(readAddress(writeAddress(address))).toEqual(address);
  });

  it("writes units as they are read", () => {
    expect(writeAddress(addresses[1] as Address)).toBe("#/unit/layer3.2.conv2:17@5,3?low=0.5&high=1e-7");
  });

  it("leaves out settings that are empty", () => {
    expect(writeAddress({ page: "map", name: "", settings: { find: "", x: "0.5" } })).toBe("#/map?x=0.5");
  });

  it("is the first page where it is none of ours, and bears what cannot be decoded", () => {
    expect(readAddress("#/elsewhere/17").page).toBe("network");
    expect(readAddress("").page).toBe("network");
    expect(readAddress("#/unit/100%").name).toBe("100%");
  });

  it("is the page of all where it names no one of them", () => {
    expect(["#/image", "#/layer/", "#/unit/?low=1"].map((hash) => readAddress(hash).page)).toEqual(["images", "network", "network"]);
    expect(readAddress("#/image/3").page).toBe("image");
  });

  it("keeps the network that is looked at", () => {
    vi.stubGlobal("location", { hash: "#/unit/conv1:3?network=1" });
    expect(link("layer", "conv1")).toBe("#/layer/conv1?network=1");
  });
});

it("a page that there is not is named", () => {
  expect(unknownPage("#/nothing?x=1")).toBe("nothing");
  expect(unknownPage("#/layer/layer1.0")).toBe("");
  expect(unknownPage("")).toBe("");
});
