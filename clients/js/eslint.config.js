import js from "@eslint/js";
import ts from "typescript-eslint";

export default ts.config({ ignores: ["dist/"] }, js.configs.recommended, {
  files: ["**/*.ts"],
  extends: [ts.configs.strictTypeChecked],
  languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
  rules: {
    "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
  },
});
