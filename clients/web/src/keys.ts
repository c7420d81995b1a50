/** Which keys belong to the page, rather than to a field or to the browser. */

/** Where one key is one command: not in a field, not with a modifier, not under a dialog. Shift may be part of it. */
export function isCommand(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey)
    return false;
  return !isField(event.target) && document.querySelector("dialog[open]") === null;
}

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button"].includes(target.type);
  return target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName) || isMenu(target);
}

function isMenu(target: HTMLElement): boolean {
  return target.closest("[role=menu], [role=listbox], [role=tablist], [role=radiogroup]") !== null;
}

const FOCUSABLE = 'a[href], button:enabled, input:enabled, select:enabled, [tabindex="0"]';

/** On Tab, after the last comes the first again. */
export function keepTabInside(panel: HTMLElement, event: KeyboardEvent): void {
  const all = [...panel.querySelectorAll<HTMLElement>(FOCUSABLE)].filter(
    (element) => element.tabIndex >= 0 && element.offsetParent !== null,
  );
  const [first, last] = [all[0], all.at(-1)];
  const leaves = event.shiftKey ? [first, panel] : [last];
  if (!first || !last || !leaves.includes(document.activeElement as HTMLElement)) return;
  event.preventDefault();
  (event.shiftKey ? last : first).focus();
}
