/** What exchanges have in common whose request was sent whole: nothing of a body follows. */
export abstract class WholeRequest {
  write(): never {
    throw new Error('the request was sent whole');
  }

  endBody(): never {
    throw new Error('the request was sent whole');
  }
}
