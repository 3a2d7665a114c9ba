import * as react from "react/jsx-dev-runtime";
import { shown } from "@/jsx/shown";

/** The same as `jsx-runtime`, for `npm run dev` and the tests. */
export { Fragment, type JSX } from "react/jsx-dev-runtime";

export const jsxDEV: typeof react.jsxDEV = (type, props, ...rest) =>
  react.jsxDEV(type, shown(props), ...rest);
