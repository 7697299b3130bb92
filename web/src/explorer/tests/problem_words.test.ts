import { expect, test, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => "es", setItem: () => undefined });
vi.stubGlobal("document", { documentElement: {} });

test("messages are said in Spanish with their values, and what is not known stays", async () => {
  const { worded } = await import("../problem_words");
  expect(worded("cars has no layer 'conv9 (2)'.")).toBe("cars no tiene la capa 'conv9 (2)'.");
  expect(worded("There is no image '60'.")).toBe("No hay imagen '60'.");
  expect(worded("a.png is no picture.")).toBe("a.png is no picture.");
});
