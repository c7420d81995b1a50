/** Where the notification server is; it names this page's origin in CORS_ORIGINS. */
export const SERVER: string = import.meta.env["VITE_SERVER"] ?? "http://localhost:8000";
