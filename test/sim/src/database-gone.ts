/** Network errors of the driver. */
export class DatabaseGone extends Error {
  readonly code = 'ECONNREFUSED';

  constructor() {
    super('the database cannot be reached');
    this.name = 'DatabaseGone';
  }
}
