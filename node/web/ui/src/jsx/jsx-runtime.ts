import * as react from "react/jsx-runtime";
import { shown } from "@/jsx/shown";

/** What the build makes of the page's JSX: React's own elements, of texts that hide nothing. */
export { Fragment, type JSX } from "react/jsx-runtime";

export const jsx: typeof react.jsx = (type, props, key) => react.jsx(type, shown(props), key);

export const jsxs: typeof react.jsxs = (type, props, key) => react.jsxs(type, shown(props), key);
