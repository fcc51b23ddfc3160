export { StatusError } from "./machinery/status-error.ts";
