/** A secret that is on the screen now and nowhere after it. */

import { Alert, Typography } from "antd";

export function ShownOnce({ label, value, hint }: { label: string; value: string; hint: string }) {
  return (
    <>
      <p className="people-secret">
        <span>{label}</span>
        <Typography.Text copyable code>{value}</Typography.Text>
      </p>
      <Alert type="warning" showIcon title={hint} />
    </>
  );
}
