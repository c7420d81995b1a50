// For tools that know TypeScript only; vue-tsc sees through to each component.
declare module "*.vue" {
  import type { DefineComponent } from "vue";

  const component: DefineComponent;
  export default component;
}
