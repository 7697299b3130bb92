// What the compiler does not see: promises that nobody waits for, comparisons that are always the same.
import { defineConfig } from "eslint/config";
import { configs } from "typescript-eslint";

export default defineConfig(configs.recommendedTypeChecked, {
  languageOptions: { parserOptions: { projectService: true } },
  rules: { eqeqeq: "error", "@typescript-eslint/switch-exhaustiveness-check": "error" },
});
