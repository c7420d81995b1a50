/** Whether the help with the keyboard shortcuts is open. */
import { defineStore } from "pinia";
import { ref } from "vue";

export const useHelp = defineStore("help", () => {
  const open = ref(false);
  return { open };
});
