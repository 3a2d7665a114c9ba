import { createContext } from "react";

/** Closes the directory that stands open around a package of the drawing. */
export const CloseDirectory = createContext<(directory: string) => void>(() => {});
