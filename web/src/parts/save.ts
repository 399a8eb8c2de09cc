/** Hands a file to the person, as the browser saves files. */

/** Some browsers read the file only once they have asked where to; an address that is gone by then saves nothing. */
const LET_GO_AFTER_MS = 60_000;

export function saveFile(file: Blob, name: string): void {
  const link = document.createElement("a");
  const address = URL.createObjectURL(file);
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), LET_GO_AFTER_MS);
}
