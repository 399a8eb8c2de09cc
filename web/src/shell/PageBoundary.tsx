/** A page that cannot be fetched, or fails while it is drawn, must not take the alarms of the others with it. */

import { Alert, Button } from "antd";
import { Component, type ReactNode } from "react";

import { useWords } from "../i18n/words";
import { texts } from "./texts";

interface State {
  hasFailed: boolean;
}

export class PageBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { hasFailed: false };

  static getDerivedStateFromError(): State {
    return { hasFailed: true };
  }

  override render(): ReactNode {
    return this.state.hasFailed ? <NotLoaded /> : this.props.children;
  }
}

function NotLoaded() {
  const words = useWords(texts);
  return (
    <div className="page-refused">
      <Alert
        type="error"
        showIcon
        title={words.notLoadedTitle}
        description={
          <>
            <p>{words.notLoadedHint}</p>
            <Button size="large" onClick={() => location.reload()}>
              {words.reload}
            </Button>
          </>
        }
      />
    </div>
  );
}
