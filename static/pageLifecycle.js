// Visibility and network state of the page, and the monotonic clock.

export class PageLifecycle {
  get isHidden() {
    return document.hidden;
  }

  get isOnline() {
    return navigator.onLine;
  }

  // Milliseconds, unaffected by changes of the system clock.
  now() {
    return performance.now();
  }

  // Calls back when the page becomes visible, is restored, or is online again; with `true` when it
  // is online again.
  onWake(callback) {
    addEventListener("online", () => callback(true));
    addEventListener("pageshow", () => callback(false));
    document.addEventListener("visibilitychange", () => document.hidden || callback(false));
  }

  onHide(callback) {
    document.addEventListener("visibilitychange", () => document.hidden && callback());
  }

  onOffline(callback) {
    addEventListener("offline", callback);
  }
}
