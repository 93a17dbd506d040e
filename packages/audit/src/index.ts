export { EventIds } from './event-id.ts';
export {
  forwardedOutcomeEvent,
  type OutcomeDecision,
  type OutcomeEvent,
  outcomeEvent,
  type OutcomeFields,
} from './event.ts';
export { type JsonLinesOptions, JsonLinesSink } from './json-lines-sink.ts';
export { createRecorder, type Recorder, type RecorderOptions, type Sink } from './recorder.ts';
