// How pages hold what they know.

/** What pages of both kinds say of the classes. */
export interface PackedClasses {
  judged: boolean; // whether there are labels that an answer can be held against
  classes: string[];
  colours: string[];
}

/** Numbers that stand as base64. */
export const bytes = (text: string) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
