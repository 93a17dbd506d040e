/** Whether an `Accept` header takes both kinds of answers to a POST: JSON and an event stream. */
export function acceptsAnswers(accept: string | undefined): boolean {
  if (accept === usual) return true;
  return accepts(accept, 'application/json') && accepts(accept, 'text/event-stream');
}

/** Whether an `Accept` header takes an event stream. */
export function acceptsEvents(accept: string | undefined): boolean {
  return accepts(accept, 'text/event-stream');
}

/** What SDK clients send. */
const usual = 'application/json, text/event-stream';

function accepts(accept: string | undefined, type: string): boolean {
  if (accept === undefined) return false;
  const [family = ''] = type.split('/');
  const accepted = [type, `${family}/*`, '*/*'];
  return accept.split(',').some((range) => {
    const [essence = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return accepted.includes(essence) && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}
