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

  // Calls back when the page becomes visible, is restored, or is online again.
  onWake(callback) {
    addEventListener("online", callback);
    addEventListener("pageshow", callback);
    document.addEventListener("visibilitychange", () => document.hidden || callback());
  }

  onOffline(callback) {
    addEventListener("offline", callback);
  }
}
