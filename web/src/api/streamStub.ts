/** The browser's event stream, as tests open and end it. */

export class StreamStub {
  static last: StreamStub;
  static opened = 0;
  static readonly CLOSED = 2;
  readyState = 1;
  onopen = () => undefined;
  onerror = () => undefined;
  addEventListener = () => undefined;
  close = () => undefined;
  constructor() {
    StreamStub.last = this;
    StreamStub.opened += 1;
  }
}
