// Two tables of colours, one set of rules.
#include "eval/report/html_style.h"

#include "absl/strings/str_cat.h"
#include "eval/report/color_scale.h"

namespace caracal {
namespace {

constexpr char kLight[] = R"(
:root{color-scheme:light dark;
--page:#fff;--ink:#15191e;--muted:#57616c;--rule:#e3e7eb;--panel:#f6f7f9;
--student:#0b5fae;--component:#9fc5e8;--baseline:#dd8a33;--teacher:#47505a;
--good:#0b5fae;--warn:#a64b00;--mark:#e4eff9;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,
"Liberation Sans",sans-serif;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
)";

constexpr char kDark[] = R"(
:root{--page:#14171b;--ink:#e7eaee;--muted:#9ca7b3;--rule:#2c323a;
--panel:#1b1f25;--student:#63b0f5;--component:#386a9b;--baseline:#dd9a50;
--teacher:#c4ccd5;--good:#63b0f5;--warn:#f2a95e;--mark:#1d3348}
)";

constexpr char kRules[] = R"(
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 var(--sans)}
main{max-width:1080px;margin:0 auto;padding:56px 32px 72px}
h1,h2,h3,p,ul,dl,dd,figure,blockquote,pre{margin:0;padding:0}
h1{font-size:30px;line-height:1.2;font-weight:650;letter-spacing:-.015em;
overflow-wrap:anywhere}
h2{font-size:21px;line-height:1.3;font-weight:650;letter-spacing:-.01em}
h3{font-size:15px;line-height:1.35;font-weight:600}
.eyebrow{color:var(--muted);font-size:13px;letter-spacing:.06em;
text-transform:uppercase;margin-bottom:8px}
.sub{color:var(--muted);margin-top:8px;overflow-wrap:anywhere}
.num{font-variant-numeric:tabular-nums}
section{margin-top:64px}
section>p,.note{color:var(--muted);max-width:70ch;margin-top:6px}
.note{font-size:14px}
.scroll+.note{margin-top:14px}
.verdict{margin-top:32px;padding:24px 28px;background:var(--panel);
border-left:4px solid var(--muted);border-radius:0 8px 8px 0}
.verdict.good{border-color:var(--good)}
.verdict.warning{border-color:var(--warn)}
.headline{font-size:20px;line-height:1.4;font-weight:600;max-width:58ch}
.rule{color:var(--muted);font-size:14px;margin-top:8px;max-width:84ch}
.rule b{color:var(--ink);font-weight:600}
.findings{list-style:none;margin-top:18px;max-width:84ch}
.findings li{position:relative;padding-left:26px;margin-top:10px}
.sign{position:absolute;left:0;width:18px;text-align:center;font-weight:700;
color:var(--muted)}
.good>.sign{color:var(--good)}
.warning>.sign{color:var(--warn)}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;
clip-path:inset(50%);white-space:nowrap}
.tiles{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));
gap:28px 20px;margin-top:36px}
.tile dt{font-size:13px;line-height:1.35;color:var(--muted);min-height:2.7em;
display:flex;align-items:flex-end}
.tile .figure{font-size:28px;line-height:1.25;font-weight:600;
letter-spacing:-.02em;margin-top:4px}
.tile .detail{font-size:13px;color:var(--muted)}
.charts{display:grid;gap:36px 40px;margin-top:24px;align-items:start}
.two{grid-template-columns:repeat(2,minmax(0,1fr))}
.three{grid-template-columns:repeat(3,minmax(0,1fr));gap:36px 32px}
.aligned{row-gap:0}
.aligned>figure{display:grid;grid-template-rows:subgrid;grid-row:span 3;
margin-bottom:20px}
.charts p{font-size:14px;line-height:1.45;color:var(--muted);margin-top:2px}
.charts p+p{margin-top:8px}
.charts .chart{margin-top:14px}
.chart{display:block;width:100%;height:auto;overflow:visible;
font:12.5px var(--sans);font-variant-numeric:tabular-nums}
.chart text{fill:var(--ink)}
.chart .tick,.chart .axis-name{fill:var(--muted)}
.chart .axis-name{font-size:12px}
.chart .strong{font-weight:650}
.chart line,.chart polyline{fill:none;stroke-linecap:round}
.grid{stroke:var(--rule);stroke-width:1}
.axis{stroke:var(--muted);stroke-width:1}
.whisker{stroke:var(--ink);stroke-width:1.3}
.reference{stroke:var(--teacher);stroke-width:1.3;stroke-dasharray:4 4}
.reference.baseline{stroke:var(--baseline)}
.runs-chart{max-width:860px;min-width:620px}
.span{stroke:var(--student);stroke-width:3;opacity:.45}
.span.harm{stroke:var(--warn)}
.run-ring{fill:var(--page);stroke:var(--student);stroke-width:2}
.of-seed{stroke:var(--student);stroke-width:1.6;opacity:.5}
.raw{fill:var(--student);opacity:.38}
.line{stroke:var(--student);stroke-width:2.2;stroke-linejoin:round}
.line.teacher{stroke:var(--teacher);stroke-dasharray:5 5}
.line.component{stroke:var(--component)}
.line.baseline{stroke:var(--baseline)}
.raw.component{fill:var(--component);opacity:.75}
.chart .of-student{fill:var(--student)}
.chart .of-baseline{fill:var(--warn)}
.chart .of-component,.chart .of-teacher{fill:var(--muted)}
.ring{fill:none;stroke:var(--ink);stroke-width:1.6}
.validation{fill:var(--page);stroke:var(--baseline);stroke-width:2}
.bar.teacher,.dot.teacher{fill:var(--teacher)}
.bar.student,.dot.student{fill:var(--student)}
.bar.component,.dot.component{fill:var(--component)}
.bar.baseline,.dot.baseline{fill:var(--baseline)}
.bar.window{fill:var(--rule)}
.chart .on-window,.chart .on-baseline{fill:var(--ink)}
.chart .on-student,.chart .on-baseline{fill:var(--page)}
.dot{stroke:var(--page);stroke-width:1.5}
.hollow{fill:none;stroke:var(--rule)}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;list-style:none;
margin-top:20px;font-size:14px;color:var(--muted)}
.swatch{display:inline-block;width:12px;height:12px;border-radius:2px;
margin-right:7px;vertical-align:-1px;print-color-adjust:exact;
-webkit-print-color-adjust:exact}
.swatch.teacher{background:var(--teacher)}
.swatch.student{background:var(--student)}
.swatch.component{background:var(--component)}
.swatch.baseline{background:var(--baseline)}
.mark{display:inline-block;width:11px;height:11px;border-radius:50%;
border:1.6px solid var(--ink);margin-right:7px;vertical-align:-1px}
.mark.filled{background:var(--student);border-color:var(--student)}
.mark.dashed{width:0;height:14px;border-radius:0;border-width:0 0 0 1.6px;
border-style:dashed;border-color:var(--teacher);margin:0 12px 0 5px;
vertical-align:-2px}
section>.findings{margin-top:14px}
.scroll{overflow-x:auto;margin-top:28px}
table{border-collapse:collapse;width:100%;font-size:14.5px;
font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;font-size:15px;padding-bottom:6px}
th,td{padding:7px 0 7px 24px;text-align:right;white-space:nowrap;
border-bottom:1px solid var(--rule);vertical-align:baseline}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{font-size:13px;font-weight:500;color:var(--muted);
vertical-align:bottom}
tbody th{font-weight:500}
tbody.group tr:last-child>*{border-bottom-color:var(--muted)}
tr.student>*{font-weight:650}
th small{display:block;font-size:13px;font-weight:400;color:var(--muted);
white-space:normal;min-width:24ch}
tr>td.range{color:var(--muted);font-weight:400}
.components{max-width:860px}
.components tbody tr:nth-last-child(2)>*{border-bottom-color:var(--muted)}
.runs thead th{color:var(--ink);font-weight:600;white-space:normal;
overflow-wrap:break-word;min-width:110px}
.runs tbody th[scope=row]{position:sticky;left:0;background:var(--page)}
.runs td small{display:block;font-size:12.5px;font-weight:400;
color:var(--muted)}
.of-group{font-size:13px;font-weight:500;color:var(--muted);
padding-top:18px}
.heads th,.heads td{padding:3px 0 3px 12px;font-size:13px}
details{margin-top:24px}
summary{cursor:pointer;color:var(--student);font-size:15px;width:fit-content}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--student);
outline-offset:3px;border-radius:2px}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);
gap:6px 24px;margin-top:14px;font-size:14.5px}
.facts dt{color:var(--muted)}
.facts dd{overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
code,pre{font-family:var(--mono);font-size:13px}
pre{background:var(--panel);border-radius:8px;padding:18px 20px;margin-top:14px;
line-height:1.5;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4}
blockquote{background:var(--panel);border-radius:8px;padding:16px 20px;
margin-top:10px;white-space:pre-wrap;overflow-wrap:anywhere;
unicode-bidi:isolate;font-size:15px}
.prompt{margin-top:20px}
mark{background:var(--mark);color:inherit;border-radius:2px}
footer{margin-top:72px;padding-top:16px;border-top:1px solid var(--rule);
font-size:13px;color:var(--muted)}
@media (max-width:900px){.tiles{grid-template-columns:repeat(3,minmax(0,1fr))}
.two,.three{grid-template-columns:minmax(0,1fr)}
.three{max-width:420px}.aligned>figure{margin-bottom:36px}.two .chart{max-width:560px}}
@media (max-width:900px) and (min-width:640px){
.three{grid-template-columns:repeat(2,minmax(0,1fr));max-width:none}}
@media (max-width:560px){main{padding:32px 18px 48px}
h1{font-size:25px}section{margin-top:48px}
.verdict{padding:18px 18px 20px;margin-left:-6px;margin-right:-6px}
.headline{font-size:18px}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:22px 18px}
.tile .figure{font-size:24px}
.two .chart{font-size:14px}
.facts{grid-template-columns:minmax(0,1fr);gap:0}
.facts dd{margin-bottom:8px}}
@media print{body{font-size:11pt}main{max-width:none;padding:0}
section{margin-top:28pt}.charts,figure,tr,.tile,.verdict{break-inside:avoid}
h2,h3{break-after:avoid}.chart *{print-color-adjust:exact;
-webkit-print-color-adjust:exact}
.two{grid-template-columns:repeat(2,minmax(0,1fr))}
.three,.tiles{grid-template-columns:repeat(3,minmax(0,1fr));max-width:none}
.scroll{overflow:visible}}
)";

}  // namespace

std::string HtmlReportStyle() {
  // Paper is always light: only screens get the dark table.
  return absl::StrCat(kLight, DivergingCss(/*dark=*/false),
                      "@media screen and (prefers-color-scheme:dark){", kDark,
                      DivergingCss(/*dark=*/true), "}", kRules);
}

}  // namespace caracal
