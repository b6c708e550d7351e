// Writes the sample report with every picture to standard output, to be
// looked at; as text for a terminal with the argument --text:
// bazel run //eval/report/testing:write_sample_report > sample.html
#include <cstring>
#include <iostream>

#include "eval/report/html_report.h"
#include "eval/report/terminal_report.h"
#include "eval/report/testing/sample_report.h"

int main(int argc, char** argv) {
  const caracal::ReportInput input = caracal::SampleSteeredReport();
  const bool text = argc > 1 && std::strcmp(argv[1], "--text") == 0;
  std::cout << (text ? caracal::TerminalReport(input)
                     : caracal::HtmlReport(input));
}
