/** ECharts on a React page: only the parts that are used, resized with its frame, and disposed of at the end. */

import { BarChart, LineChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsCoreOption, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";

use([
  BarChart, LineChart, GridComponent, TooltipComponent, DataZoomComponent, MarkLineComponent, MarkAreaComponent,
  CanvasRenderer,
]);

interface Props {
  option: EChartsCoreOption;
  /** When it changes, the drawing starts afresh; otherwise the zoom the person chose is kept. */
  subject: string;
  label: string;
}

export function EChart({ option, subject, label }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType | null>(null);
  const drawnSubject = useRef("");

  useEffect(() => {
    if (frame.current === null) return undefined;
    const drawn = init(frame.current);
    chart.current = drawn;
    const watch = new ResizeObserver(() => drawn.resize());
    watch.observe(frame.current);
    return () => {
      watch.disconnect();
      drawn.dispose();
      chart.current = null;
      drawnSubject.current = "";
    };
  }, []);

  useEffect(() => {
    const isSame = drawnSubject.current === subject;
    drawnSubject.current = subject;
    if (isSame) chart.current?.setOption(option, { replaceMerge: ["series"] });
    else chart.current?.setOption(option, { notMerge: true });
  }, [option, subject]);

  return <div ref={frame} className="chart" role="img" aria-label={label} />;
}
