import type { NodePropagation, Propagation } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { NodePropagation_State as State } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { Screen } from '../cli.ts';
import { printableLine } from './printable.ts';
import { milliseconds, propagationSummary } from './propagation-summary.ts';
import { style, type Style } from './style.ts';

/** Nodes shown by name; the rest is counted. Those come first that somebody has to look at. */
const shownNodes = 20;

/**
 * Shows how a revision reaches the nodes: in place on a terminal, elsewhere one line whenever a node has answered. The last
 * line sums up.
 */
export class PropagationView {
  readonly #screen: Screen;
  readonly #style: Style;
  /** Lines on the terminal that the next state replaces. */
  #drawn = 0;
  /** Nodes whose answer has been printed, elsewhere than on a terminal. */
  readonly #printed = new Map<string, State>();

  constructor(screen: Screen) {
    this.#screen = screen;
    this.#style = style(screen.colours);
  }

  show(state: Propagation): void {
    if (this.#screen.isTerminal) this.#redraw(state);
    else this.#printAnswers(state);
  }

  #redraw(state: Propagation): void {
    const nodes = state.nodes.slice(0, shownNodes);
    const hidden = state.nodes.length - nodes.length;
    const lines = nodes.flatMap((node) => nodeLines(node, this.#style));
    if (hidden > 0) lines.push(this.#style.dim(`  … and ${hidden} more nodes`));
    lines.push(...this.#summary(state));
    const erase = this.#drawn > 0 ? `\u001b[${this.#drawn}A\u001b[J` : '';
    this.#screen.write(erase + lines.map((line) => `${line}\n`).join(''));
    this.#drawn = lines.length;
  }

  #printAnswers(state: Propagation): void {
    for (const node of state.nodes.slice(0, shownNodes)) {
      const answered = node.state !== State.PENDING && node.state !== State.SENT;
      if (!answered || this.#printed.get(node.node) === node.state) continue;
      this.#printed.set(node.node, node.state);
      for (const line of nodeLines(node, this.#style)) this.#screen.write(`${line}\n`);
    }
    if (state.done) for (const line of this.#summary(state)) this.#screen.write(`${line}\n`);
  }

  #summary(state: Propagation): string[] {
    const isEmpty = state.done && state.nodes.length === 0;
    if (isEmpty) return ['  no node is connected; nodes take it when they connect'];
    const lines = propagationSummary(state, this.#style).trimEnd().split('\n');
    return lines.map((line) => `  ${line}`);
  }
}

/** One node: what it did, and for a refusal each resource with its reason. */
function nodeLines(node: NodePropagation, paint: Style): string[] {
  const name = printableLine(node.node);
  const refusals = node.refusals.map((refusal) =>
    paint.bad(`      ${printableLine(`${refusal.resource || refusal.type}: ${refusal.message}`)}`),
  );
  switch (node.state) {
    case State.APPLIED:
      return [
        `  ${paint.good('✔')} ${name} applied${node.appliedAfterMs > 0 ? ` after ${milliseconds(node.appliedAfterMs)}` : ''}`,
      ];
    case State.REFUSED:
      return [`  ${paint.bad('✘')} ${name} refused, still runs revision ${node.appliedRevision}`, ...refusals];
    case State.DISCONNECTED:
      return [`  ${paint.doubtful('○')} ${name} is not connected, ran revision ${node.appliedRevision}`];
    case State.LEFT_UNANSWERED:
      return [`  ${paint.bad('○')} ${name} left without an answer, ran revision ${node.appliedRevision}`];
    case State.SENT:
      return [`  ${paint.dim('…')} ${name} has it`];
    case State.PENDING:
    case State.STATE_UNSPECIFIED:
    default:
      return [`  ${paint.dim('…')} ${name} waits`];
  }
}
