import { expect, test } from "vitest";

import { LastAsked } from "./lastAsked";

function asked<T>() {
  let answer: (value: T) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  let signal: AbortSignal | null = null;
  const question = (given: AbortSignal) => {
    signal = given;
    return new Promise<T>((resolve, reject) => {
      answer = resolve;
      fail = reject;
    });
  };
  return { question, answer: (value: T) => answer(value), fail: (error: Error) => fail(error), isBrokenOff: () => signal?.aborted };
}

test("of two answers that come in the wrong order the one that was asked for last stands", async () => {
  const last = new LastAsked();
  const [first, second] = [asked<string>(), asked<string>()];
  const [of_first, of_second] = [last.ask(first.question), last.ask(second.question)];
  expect([first.isBrokenOff(), second.isBrokenOff()]).toEqual([true, false]);
  second.answer("new");
  first.answer("old");
  expect(await of_second).toEqual({ answer: "new" });
  expect(await of_first).toBeUndefined();
});

test("an error of a question that nobody waits for any more is none", async () => {
  const last = new LastAsked();
  const [first, second] = [asked<string>(), asked<string>()];
  const [of_first, of_second] = [last.ask(first.question), last.ask(second.question)];
  first.fail(new Error("broken off"));
  second.fail(new Error("no answer"));
  expect(await of_first).toBeUndefined();
  expect(await of_second).toMatchObject({ error: { message: "no answer" } });
  const third = asked<string>();
  const of_third = last.ask(third.question);
  last.breakOff();
  third.answer("nobody is here");
  expect(await of_third).toBeUndefined();
});

test("who asks on a timer can tell that the answer before is still on its way", async () => {
  const last = new LastAsked();
  const slow = asked<string>();
  expect(last.isWaiting).toBe(false);
  const of_slow = last.ask(slow.question);
  expect(last.isWaiting).toBe(true);
  slow.answer("late, and the last");
  expect(await of_slow).toEqual({ answer: "late, and the last" });
  expect(last.isWaiting).toBe(false);
});

test("an answer that was broken off does not end the waiting for the one after it", async () => {
  const last = new LastAsked();
  const [first, second] = [asked<string>(), asked<string>()];
  const of_first = last.ask(first.question);
  const of_second = last.ask(second.question);
  first.answer("old");
  expect(await of_first).toBeUndefined();
  expect(last.isWaiting).toBe(true);
  second.fail(new Error("no answer"));
  await of_second;
  expect(last.isWaiting).toBe(false);
});
