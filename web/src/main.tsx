import { createRoot } from "react-dom/client";

import { keepScreens } from "./shell/installed";
import { Root } from "./shell/Root";

const element = document.getElementById("root");
if (element === null) throw new Error("index.html has no #root");
createRoot(element).render(<Root />);
void keepScreens();
