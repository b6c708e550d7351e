// Round trips, the layout of the PyTorch oracle's files, and bad input.
#include "eval/attribution/result_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// As the PyTorch oracle writes the losses of a 2-layer, 2-head random Llama
// over 2 rows (W = 2, S = 1).
constexpr char kOracle[] = R"({"modes": {
 "teacher": {"loss": 3.4571056365966797,
  "per_row": [3.4318251609802246, 3.458021402359009], "second_half": 3.4618},
 "hybrid": {"loss": 3.4579813480377197,
  "per_row": [3.4356322288513184, 3.4550538063049316],
  "second_half": 3.462132692337036, "la_mass": 0.6751843,
  "la_output_share": 0.6962925, "teacher_out_mass": 0.4695517},
 "masses": {
  "la_mass": [[0.6756631, 0.6753650], [0.6749881, 0.6747207]],
  "la_output_share": [[0.6819948, 0.6814498], [0.7110086, 0.7107166]],
  "teacher_out_mass": [[0.4698105, 0.4698584], [0.4693189, 0.4692189]]},
 "none": {"loss": 3.4494469165802, "per_row": [3.417220, 3.457789],
  "second_half": 3.4553687}}})";

AttributionResult Sample() {
  AttributionResult result;
  result.settings = {"tiny \"model\"",
                     "held\nout.h5",
                     64,
                     4,
                     "sliding",
                     "hedgehog",
                     64,
                     2,
                     8,
                     2,
                     3,
                     "lolcats",
                     "f00d"};
  result.settings.finished_as = "la_only";
  result.modes = {{"teacher", 3.5, {3.25, 3.75}, 3.375, {3.5, 3.0, 4.0}, {}},
                  {"hybrid", 3.6, {3.35, 3.85}, 3.45, {3.6, 3.1, 4.1}, {7, 5}},
                  {"la_only", 6.0, {6.0}, 5.0, {}, {}}};
  result.baselines = {
      {"teacher_swa_s0", 5.0, {4.5, 5.5}, 5.25, {5.0, 4.5, 5.5}, {}},
      {"teacher_swa_s4", 3.75, {3.5, 4.0}, 3.5, {3.75, 3.5, 4.0}, {}}};
  result.masses = {{{0.1, 0.2, 0.3}, {0.4, 0.5, 0.6}},
                   {{0.2, 0.2, 0.2}, {0.3, 0.3, 0.3}},
                   {{0.25, 0.25, 0.25}, {0.5, 0.5, 0.5}},
                   {{0.1, 0.1, 0.1}, {0.2, 0.2, 0.2}},
                   {{0.3, 0.3, 0.3}, {0.4, 0.4, 0.4}}};
  result.by_position = {{64, 128, 0.1, 0.2, 0.3, 0.4, 0.5},
                        {128, 256, 0.2, 0.3, 0.4, 0.5, 0.6}};
  result.gamma = {{0.1, 0.2, 0.3}, {0.4, 0.5, std::nan("")}};
  result.ablation = {{0, -1, {0.1, 0.0, 0.2}}, {1, 2, {0.3, 0.2, 0.4}}};
  result.reach = 0.875;
  result.drop = {{"la", {0.1, 0.05, 0.15}}, {"swa", {1.5, 1.25, 1.75}}};
  result.what_la_brings = {0.1, 0.05, 0.15};
  result.ustar = {0.25, -0.125, 0.5};
  result.what_attention_brings = {6.5, 6.25, 6.75};
  result.shapley = {{"swa", {6, 5.5, 6.5}}, {"la", {0.5, 0.25, 0.75}}};
  return result;
}

TEST(AttributionJsonTest, RoundTripGivesTheSameText) {
  const std::string text = AttributionToJson(Sample());
  ASSERT_OK_AND_ASSIGN(AttributionResult back,
                       AttributionFromJson(text, "sample"));
  EXPECT_EQ(AttributionToJson(back), text);
}

TEST(AttributionJsonTest, RoundTripKeepsEveryField) {
  ASSERT_OK_AND_ASSIGN(
      AttributionResult back,
      AttributionFromJson(AttributionToJson(Sample()), "sample"));
  EXPECT_EQ(back.settings.model, "tiny \"model\"");
  EXPECT_EQ(back.settings.data, "held\nout.h5");
  EXPECT_EQ(back.settings.window, 64);
  EXPECT_EQ(back.settings.sinks, 4);
  EXPECT_EQ(back.settings.window_kind, "sliding");
  EXPECT_EQ(back.settings.feature_map, "hedgehog");
  EXPECT_EQ(back.settings.features, 64);
  EXPECT_EQ(back.settings.rows, 2);
  EXPECT_EQ(back.settings.tokens_per_row, 8);
  EXPECT_EQ(back.settings.layers, 2);
  EXPECT_EQ(back.settings.heads, 3);
  EXPECT_EQ(back.settings.recipe, "lolcats");
  EXPECT_EQ(back.settings.rows_digest, "f00d");
  EXPECT_EQ(back.settings.finished_as, "la_only");
  EXPECT_EQ(back.what_attention_brings.high, 6.75);
  ASSERT_EQ(back.shapley.size(), 2);
  EXPECT_EQ(back.shapley[1].component, "la");
  EXPECT_EQ(back.shapley[1].value.low, 0.25);
  ASSERT_EQ(back.modes.size(), 3);
  EXPECT_EQ(back.modes[1].mode, "hybrid");
  EXPECT_EQ(back.modes[1].per_row[1], 3.85);
  EXPECT_EQ(back.modes[1].second_half, 3.45);
  EXPECT_EQ(back.modes[1].row_tokens, (std::vector<double>{7, 5}));
  EXPECT_TRUE(back.modes[0].row_tokens.empty());
  EXPECT_EQ(back.modes[1].interval.high, 4.1);
  EXPECT_FALSE(back.modes[2].interval.measured());
  ASSERT_NE(back.Find("teacher_swa_s4"), nullptr);
  EXPECT_EQ(back.Find("teacher_swa_s4")->loss, 3.75);
  EXPECT_EQ(back.Find("masses"), nullptr);
  EXPECT_EQ(back.masses.la_output_share[1][2], 0.3);
  EXPECT_DOUBLE_EQ(back.masses.LaGap()[1][0], -0.1);
  ASSERT_EQ(back.by_position.size(), 2);
  EXPECT_EQ(back.by_position[1].teacher_out_mass, 0.4);
  EXPECT_EQ(back.by_position[0].sink_mass, 0.4);
  EXPECT_EQ(back.by_position[1].teacher_sink_mass, 0.6);
  EXPECT_EQ(back.masses.sink_mass[1][0], 0.2);
  EXPECT_EQ(back.masses.teacher_sink_mass[0][2], 0.3);
  EXPECT_EQ(back.gamma[1][1], 0.5);
  EXPECT_TRUE(std::isnan(back.gamma[1][2]));
  ASSERT_EQ(back.ablation.size(), 2);
  EXPECT_EQ(back.ablation[0].head, -1);
  EXPECT_EQ(back.ablation[1].layer, 1);
  EXPECT_EQ(back.ablation[1].head, 2);
  EXPECT_EQ(back.ablation[1].cost.high, 0.4);
  EXPECT_EQ(back.reach, 0.875);
  ASSERT_EQ(back.drop.size(), 2);
  EXPECT_EQ(back.drop[1].component, "swa");
  EXPECT_EQ(back.drop[1].drop.low, 1.25);
  EXPECT_EQ(back.what_la_brings.low, 0.05);
  EXPECT_EQ(back.ustar.low, -0.125);
}

// Every key of `from` is in `to`, of the same kind and near the same value.
void ExpectCovers(const Json& to, const Json& from, const std::string& path) {
  if (from.is_object()) {
    for (const auto& [key, value] : from.items()) {
      ASSERT_TRUE(to.contains(key)) << path << "." << key;
      ExpectCovers(to.at(key), value, path + "." + key);
    }
  } else if (from.is_array()) {
    ASSERT_EQ(to.size(), from.size()) << path;
    for (size_t i = 0; i < from.size(); ++i) {
      ExpectCovers(to[i], from[i], path + "[" + std::to_string(i) + "]");
    }
  } else {
    EXPECT_NEAR(to.get<double>(), from.get<double>(), 1e-6) << path;
  }
}

ProbeResult SampleProbe() {
  return {"recall",
          256,
          2,
          "beef",
          {0.1, 0.2, 0.3, 0.4},
          {1, 1, 0, 1},
          0.125,
          {{"teacher", {1, 1, 1, 0}, {1, 0, 1, 0}, {0.1, 0.2, 0.3, 4}},
           {"hybrid", {0, 1, 1, 0}, {0, 0, 0, 0}, {1, 2, 3, 4}}}};
}

TEST(AttributionJsonTest, ProbesAreReadBack) {
  AttributionResult result;
  result.probes = {SampleProbe(), SampleProbe()};
  result.probes[1].probe = "passkey";
  const std::string text = AttributionToJson(result);
  const Json json = Json::parse(text);
  EXPECT_EQ(json["probes"][0]["reach"], 0.75);
  const Json& hybrid = json["probes"][0]["modes"]["hybrid"];
  EXPECT_NEAR(hybrid["facts_outside"]["among"]["mean"].get<double>(), 1 / 3.0,
              1e-12);
  EXPECT_EQ(hybrid["facts_outside"]["exact"]["mean"], 0);
  EXPECT_EQ(hybrid["facts_inside"]["nats"]["mean"], 3);
  ASSERT_OK_AND_ASSIGN(const AttributionResult back,
                       AttributionFromJson(text, "x"));
  ASSERT_EQ(back.probes.size(), 2);
  const ProbeResult& probe = back.probes[0];
  EXPECT_EQ(probe.probe, "recall");
  EXPECT_EQ(probe.length, 256);
  EXPECT_EQ(probe.samples, 2);
  EXPECT_EQ(probe.digest, "beef");
  EXPECT_EQ(probe.chance, 0.125);
  EXPECT_EQ(probe.depth, SampleProbe().depth);
  EXPECT_EQ(probe.outside, SampleProbe().outside);
  ASSERT_NE(probe.Find("hybrid"), nullptr);
  EXPECT_EQ(probe.Find("hybrid")->among, SampleProbe().modes[1].among);
  EXPECT_EQ(probe.Find("teacher")->exact, SampleProbe().modes[0].exact);
  EXPECT_EQ(probe.Find("teacher")->nats, SampleProbe().modes[0].nats);
  EXPECT_EQ(AttributionToJson(back), text);
}

TEST(AttributionJsonTest, ProbesThatContradictThemselvesAreRefused) {
  const auto refusal = [](const char* path, const Json& value) {
    AttributionResult result;
    result.probes = {SampleProbe()};
    Json json = Json::parse(AttributionToJson(result));
    json[Json::json_pointer(path)] = value;
    return std::string(
        AttributionFromJson(json.dump(), "x").status().message());
  };
  EXPECT_EQ(refusal("/probes/0/samples", 3),
            "x.probes[0]: found 4 answers in `outside`, 4 in `depth` and 3 "
            "samples; expected as many answers of every sample");
  EXPECT_EQ(refusal("/probes/0/samples", 0),
            "x.probes[0]: found 4 answers in `outside`, 4 in `depth` and 0 "
            "samples; expected as many answers of every sample");
  EXPECT_EQ(refusal("/probes/0/outside/1", 2),
            "x.probes[0].outside: found 2, expected 0 or 1");
  EXPECT_EQ(refusal("/probes/0/modes/hybrid/nats", {1, 2}),
            "x.probes[0].modes.hybrid: found 2 answers, expected 4 as in "
            "`outside`");
  EXPECT_EQ(refusal("/probes/0/modes/hybrid/among/0", -1),
            "x.probes[0].modes.hybrid.among: found -1, expected 0 or 1");
}

TEST(AttributionJsonTest, HasTheKeysOfTheOracle) {
  ASSERT_OK_AND_ASSIGN(AttributionResult result,
                       AttributionFromJson(kOracle, "oracle"));
  EXPECT_EQ(result.modes.size(), 3);
  const Json ours = Json::parse(AttributionToJson(result));
  ExpectCovers(ours, Json::parse(kOracle), "");
  EXPECT_NEAR(ours["modes"]["masses"]["la_gap"][0][0].get<double>(),
              0.6756631 - 0.4698105, 1e-12);
  EXPECT_NEAR(ours["modes"]["hybrid"]["la_gap"].get<double>(),
              0.6751843 - 0.4695517, 1e-6);
}

TEST(AttributionJsonTest, NotMeasuredIsNullAndComesBackAsNan) {
  AttributionResult result = Sample();
  result.masses.la_mass[0][1] = std::nan("");
  result.reach = std::nan("");
  const std::string text = AttributionToJson(result);
  EXPECT_THAT(text, HasSubstr("\"reach\": null"));
  ASSERT_OK_AND_ASSIGN(AttributionResult back, AttributionFromJson(text, "x"));
  EXPECT_TRUE(std::isnan(back.masses.la_mass[0][1]));
  EXPECT_TRUE(std::isnan(back.reach));
}

TEST(AttributionJsonTest, TextThatIsNotUtf8IsReplaced) {
  AttributionResult result = Sample();
  result.settings.model = "bad \xff byte";
  EXPECT_THAT(AttributionToJson(result), HasSubstr("bad \xEF\xBF\xBD byte"));
}

struct BadCase {
  const char* json;
  const char* message;
};

class BadJsonTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadJsonTest, NamesTheKeyAndWhatWasExpected) {
  EXPECT_THAT(
      AttributionFromJson(GetParam().json, "result.json"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("result.json"), HasSubstr(GetParam().message))));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadJsonTest,
    ::testing::Values(
        BadCase{"{\"modes\": {", "not JSON, or cut short"},
        BadCase{"[]", "found array, expected an object"},
        BadCase{"{}", "no key `modes`"},
        BadCase{"{\"modes\": 3}", ".modes: found number, expected an object"},
        BadCase{"{\"modes\": {\"hybrid\": {\"loss\": \"x\"}}}",
                ".modes.hybrid.loss: found string, expected a number or null"},
        BadCase{"{\"modes\": {\"hybrid\": {\"per_row\": [1, true]}}}",
                ".modes.hybrid.per_row[1]: found boolean"},
        BadCase{"{\"modes\": {\"hybrid\": {\"row_tokens\": 3}}}",
                ".modes.hybrid.row_tokens: found number, expected an array"},
        BadCase{"{\"modes\": {}, \"settings\": {\"window\": 1.5}}",
                ".settings.window: found number, expected a whole number"},
        BadCase{"{\"modes\": {}, \"settings\": {\"model\": 1}}",
                ".settings.model: found number, expected a text"},
        BadCase{"{\"modes\": {}, \"drop\": {\"la\": 1}}",
                ".drop.la: found number, expected an object"},
        BadCase{"{\"modes\": {\"masses\": {\"la_mass\": [[1, 2]], "
                "\"la_output_share\": [[1, 2]], "
                "\"teacher_out_mass\": [[1]]}}}",
                ".modes.masses.teacher_out_mass: found rows of other lengths"},
        BadCase{"{\"modes\": {\"masses\": {\"la_mass\": [[1, 2]]}}}",
                ".modes.masses.la_output_share"},
        BadCase{"{\"modes\": {}, \"reach\": 1e999}", "not JSON"}));

}  // namespace
}  // namespace caracal
