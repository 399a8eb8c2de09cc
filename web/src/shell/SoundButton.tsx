/** Sound on or off, and whether the browser lets us use it yet. */

import { AudioMutedOutlined, SoundOutlined } from "@ant-design/icons";
import { Button } from "antd";

import { useTexts } from "../i18n/language";
import { sound, switchSound } from "../state/sound";
import { useStore } from "../state/store";

export function SoundButton() {
  const texts = useTexts();
  const now = useStore(sound);
  return (
    <Button
      size="large"
      title={now === "waiting" ? texts.header.soundWaiting : texts.header.soundHint}
      icon={now === "off" ? <AudioMutedOutlined /> : <SoundOutlined />}
      danger={now === "waiting"}
      aria-pressed={now !== "off"}
      // While waiting, the touch itself wakes the sound; it must not switch it off again.
      onClick={now === "waiting" ? undefined : switchSound}
    >
      <span className="sound-word">{now === "off" ? texts.header.soundOff : texts.header.soundOn}</span>
    </Button>
  );
}
