import manifest from "../../package.json" with { type: "json" };

/** `fleetwright/<version>`: how we appear in the server's audit log. */
export const defaultUserAgent = `fleetwright/${manifest.version}`;
