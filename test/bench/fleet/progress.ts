/** Says what a part of the run has done, and how long that took: a run of minutes that says nothing looks like one that hangs. */
export function progress(part: string): (done: string) => void {
  let sinceMs = performance.now();
  return (done) => {
    const now = performance.now();
    console.error(`${part}: ${done} (${((now - sinceMs) / 1_000).toFixed(1)} s)`);
    sinceMs = now;
  };
}
