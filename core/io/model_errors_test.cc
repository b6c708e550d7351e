// What OpenModel and the readers say of damaged and foreign models: fixtures
// with one thing wrong each.
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_replace.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/weight_source.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kFolder[] = "tests/golden/io/";

class ModelErrorsTest : public ::testing::Test {
 protected:
  FileSystem* files() const { return FileSystem::Posix(); }
  std::string Fixture(const std::string& name) const {
    auto contents = files()->ReadFile(std::string(kFolder) + name);
    CARACAL_CHECK_OK(contents.status());
    return *std::move(contents);
  }
  // Writes a file of the temporary folder and returns its path.
  std::string Write(const std::string& name, const std::string& contents) {
    const std::string path = folder_.File(name);
    CARACAL_CHECK_OK(files()->CreateFolder(FolderOf(path)));
    CARACAL_CHECK_OK(files()->WriteFileAtomically(path, contents));
    return path;
  }
  // A copy of a fixture folder, without the file `left_out`.
  std::string CopyFolder(const std::string& name,
                         const std::string& left_out = "") {
    auto entries = files()->List(std::string(kFolder) + name);
    CARACAL_CHECK_OK(entries.status());
    for (const std::string& entry : *entries) {
      if (entry == left_out) continue;
      Write(name + "/" + entry, Fixture(name + "/" + entry));
    }
    return folder_.File(name);
  }
  // Opens the GGUF fixture with `from` replaced by `to`, of the same length.
  absl::Status OpenPatched(const std::string& fixture, const std::string& from,
                           const std::string& to) {
    CARACAL_CHECK_EQ(from.size(), to.size());
    const std::string before = Fixture(fixture);
    const std::string after = absl::StrReplaceAll(before, {{from, to}});
    CARACAL_CHECK(before != after) << from;
    return OpenModel(Write("patched.gguf", after)).status();
  }
  absl::Status OpenWithConfig(const std::string& folder,
                              const std::string& from, const std::string& to) {
    const std::string copy = CopyFolder(folder);
    const std::string before = Fixture(folder + "/config.json");
    const std::string after = absl::StrReplaceAll(before, {{from, to}});
    CARACAL_CHECK(before != after) << from;
    Write(folder + "/config.json", after);
    return OpenModel(copy).status();
  }

  TemporaryFolder folder_;
  ThreadPool pool_{2};
  const Context ctx_{.pool = &pool_};
};

TEST_F(ModelErrorsTest, EndlessConfigurations) {
  for (const auto& [name, file] :
       {std::pair{"hf_single", "config.json"},
        {"hf_sharded", "model.safetensors.index.json"}}) {
    const std::string folder = CopyFolder(name, file);
    const std::string path = folder + "/" + file;
    ASSERT_EQ(symlink("/dev/zero", path.c_str()), 0);
    EXPECT_THAT(OpenModel(folder).status(),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr(path), HasSubstr("has more than"))));
  }
}

TEST_F(ModelErrorsTest, PathsThatAreNoModel) {
  EXPECT_THAT(OpenModel(folder_.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(OpenModel(Write("a.bin", "some text")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a.bin: not a model; expected a GGUF file, or "
                                 "a folder with config.json")));
  EXPECT_THAT(OpenModel(Write("empty.gguf", "")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("empty.gguf: not a model")));
  EXPECT_THAT(OpenModel(folder_.path()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no config.json in this folder")));
}

TEST_F(ModelErrorsTest, GgufTensors) {
  EXPECT_THAT(OpenPatched("mixed.gguf", "blk.1.attn_v", "blk.1.attn_x"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("patched.gguf: tensor blk.1.attn_v.weight is "
                                 "missing; expected shape [16, 32]")));
  EXPECT_THAT(
      OpenPatched("mixed.gguf", "blk.1.attn_v.weight", "blk.7.attn_v.weight"),
      StatusIs(absl::StatusCode::kNotFound,
               HasSubstr("blk.1.attn_v.weight is missing")));
  // 32 columns and 16 rows, as two u64 behind the name.
  const std::string name("blk.1.attn_v.weight\2\0\0\0", 23);
  const std::string columns("\x20\0\0\0\0\0\0\0", 8);
  EXPECT_THAT(
      OpenPatched("mixed.gguf", name + columns + '\x10',
                  name + columns + '\x08'),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("patched.gguf: tensor blk.1.attn_v.weight has shape "
                         "[8, 32], expected [16, 32] from the configuration")));
}

TEST_F(ModelErrorsTest, GgufArchitecture) {
  const std::string before("\5\0\0\0\0\0\0\0llama", 13);
  const std::string after("\5\0\0\0\0\0\0\0qwen3", 13);
  EXPECT_THAT(OpenPatched("mixed.gguf", before, after),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("patched.gguf: architecture \"qwen3\" has "
                                 "norms on its queries and keys")));
}

TEST_F(ModelErrorsTest, TensorsThatWouldBeIgnoredButMatter) {
  // An untied model's output head renamed to a bias.
  EXPECT_THAT(
      OpenPatched("tied.gguf", "rope_freqs.weight", "blk.0.attn_q.bias"),
      StatusIs(absl::StatusCode::kUnimplemented,
               HasSubstr("patched.gguf: tensor \"blk.0.attn_q.bias\" has no "
                         "place in the architecture llama")));
  EXPECT_THAT(
      OpenPatched("tied.gguf", "rope_freqs.weight", "blk.1.some.weight"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("tensor \"blk.1.some.weight\" is of layer 1, but the "
                         "configuration has 1 layers")));
}

TEST_F(ModelErrorsTest, OtherTensorsAreKept) {
  std::string bytes = absl::StrReplaceAll(
      Fixture("tied.gguf"), {{"rope_freqs.weight", "other_fact.weight"}});
  ASSERT_OK_AND_ASSIGN(const auto model,
                       OpenModel(Write("patched.gguf", bytes)));
  const TensorInfo* info = model->Find("other_fact.weight");
  ASSERT_NE(info, nullptr);
  std::vector<float> values(4);
  EXPECT_OK(model->ReadF32(ctx_, info->name, values.data()));
  EXPECT_EQ(values[3], 8.0f);
  EXPECT_THAT(model->ReadF32(ctx_, "lm_head.weight", values.data()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("patched.gguf: there is no tensor "
                                 "\"lm_head.weight\"")));
}

TEST_F(ModelErrorsTest, HuggingFaceConfigAgainstTensors) {
  EXPECT_THAT(
      OpenWithConfig("hf_sharded", "\"vocab_size\": 24", "\"vocab_size\": 25"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("hf_sharded/model-00001-of-00003"
                               ".safetensors: tensor "
                               "model.embed_tokens.weight"),
                     HasSubstr("[24, 32], expected [25, 32]"))));
  EXPECT_THAT(OpenWithConfig("hf_sharded", "\"num_hidden_layers\": 2",
                             "\"num_hidden_layers\": 1"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is of layer 1, but the configuration has 1 "
                                 "layers")));
  EXPECT_THAT(OpenWithConfig("hf_single", "\"tie_word_embeddings\": true",
                             "\"tie_word_embeddings\": false"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("hf_single: tensor lm_head.weight is "
                                 "missing")));
  EXPECT_THAT(OpenWithConfig("hf_single", "\"llama\"", "\"bert\""),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("hf_single/config.json: architecture "
                                 "\"bert\" is unknown")));
  EXPECT_THAT(OpenWithConfig("hf_single", "\"hidden_size\": 32", "\"x\": 1"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("config.json: field hidden_size is "
                                 "missing")));
}

TEST_F(ModelErrorsTest, HuggingFaceFiles) {
  EXPECT_THAT(OpenModel(CopyFolder("hf_single", "model.safetensors")),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("hf_single: neither model.safetensors nor "
                                 "model.safetensors.index.json")));
  EXPECT_THAT(
      OpenModel(CopyFolder("hf_sharded", "model-00002-of-00003.safetensors")),
      StatusIs(
          absl::StatusCode::kNotFound,
          AllOf(HasSubstr("index.json: the shard "
                          "\"model-00002-of-00003.safetensors\" of tensor"),
                HasSubstr("is missing"))));
}

TEST_F(ModelErrorsTest, ShardIndex) {
  const std::string folder = CopyFolder("hf_sharded");
  const std::string name = "hf_sharded/model.safetensors.index.json";
  const std::string index = Fixture(name);
  const auto open_with = [&](const std::string& text) {
    Write(name, text);
    return OpenModel(folder).status();
  };
  EXPECT_THAT(open_with("{}"),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("index.json: expected an object with a "
                                 "weight_map")));
  EXPECT_THAT(open_with("[]"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("weight_map")));
  EXPECT_THAT(open_with(index.substr(0, index.size() / 2)),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("index.json: not valid JSON")));
  EXPECT_THAT(
      open_with(absl::StrReplaceAll(index, {{"model-00002", "../el-00002"}})),
      StatusIs(absl::StatusCode::kDataLoss,
               HasSubstr("expected the name of a .safetensors file in the same "
                         "folder")));
  EXPECT_THAT(open_with(R"({"weight_map": {"a": 1}})"),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("weight_map entry \"a\" is \"1\", expected")));
  // The index sends a tensor to a shard that does not hold it.
  EXPECT_THAT(
      open_with(R"({"weight_map": {"model.embed_tokens.weight":
                    "model-00002-of-00003.safetensors"}})"),
      StatusIs(absl::StatusCode::kNotFound,
               HasSubstr("model-00002-of-00003.safetensors: tensor "
                         "\"model.embed_tokens.weight\" is missing; the index "
                         "says it is in this file")));
}

TEST_F(ModelErrorsTest, NonFiniteWeightsAreFoundWhenRead) {
  // The norm is the only F32 tensor of its name; element 5 of its 32.
  for (const uint32_t bits : {0x7fc00000u, 0x7f800000u, 0xff800000u}) {
    std::string bytes = Fixture("mixed.gguf");
    ASSERT_OK_AND_ASSIGN(const auto before,
                         OpenModel(Write("whole.gguf", bytes)));
    ASSERT_OK_AND_ASSIGN(const EncodedMatrix norm,
                         before->ReadEncoded(ctx_, "model.norm.weight"));
    const std::string values(reinterpret_cast<const char*>(norm.view.data),
                             32 * 4);
    const size_t at = bytes.find(values);
    ASSERT_NE(at, std::string::npos);
    std::memcpy(&bytes[at + 5 * 4], &bits, 4);
    ASSERT_OK_AND_ASSIGN(const auto model, OpenModel(Write("nan.gguf", bytes)));
    std::vector<float> out(32);
    const auto expected =
        StatusIs(absl::StatusCode::kDataLoss,
                 HasSubstr("nan.gguf: tensor model.norm.weight holds a value "
                           "that is not finite at [5]"));
    EXPECT_THAT(model->ReadF32(ctx_, "model.norm.weight", out.data()),
                expected);
    EXPECT_THAT(model->ReadEncoded(ctx_, "model.norm.weight"), expected);
    EXPECT_OK(
        model->ReadF32(ctx_, "model.norm.weight", {0, 1, 0, 5}, out.data()));
    EXPECT_THAT(
        model->ReadF32(ctx_, "model.norm.weight", {0, 1, 4, 8}, out.data()),
        expected);
  }
}

TEST_F(ModelErrorsTest, NonFiniteScalesNameTheRowInOurOrder) {
  std::string bytes = Fixture("mixed.gguf");
  constexpr char kName[] = "model.layers.0.self_attn.q_proj.weight";
  ASSERT_OK_AND_ASSIGN(const auto before,
                       OpenModel(Write("whole.gguf", bytes)));
  ASSERT_OK_AND_ASSIGN(const EncodedMatrix q, before->ReadEncoded(ctx_, kName));
  // Row 8 + 5 is of head 1, second half, pair 1: row 8 + 3 of the file. One
  // block of 32 is a whole row.
  const std::string row(reinterpret_cast<const char*>(q.view.row(13)),
                        q.view.row_bytes);
  const size_t at = bytes.find(row);
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] = 0x7c;  // an infinite or NaN scale
  ASSERT_OK_AND_ASSIGN(const auto model, OpenModel(Write("nan.gguf", bytes)));
  const auto expected =
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not finite at [13, 0]"));
  std::vector<float> out(32 * 32);
  EXPECT_THAT(model->ReadF32(ctx_, kName, out.data()), expected);
  EXPECT_THAT(model->ReadEncoded(ctx_, kName), expected);
  EXPECT_OK(model->ReadF32(ctx_, kName, {0, 13}, out.data()));
}

TEST_F(ModelErrorsTest, FingerprintSeesEveryByteAndTheConfigurationOnly) {
  const auto fingerprint = [&](const std::string& path) {
    auto model = OpenModel(path);
    CARACAL_CHECK_OK(model.status());
    return (*model)->Fingerprint(ctx_);
  };
  const std::string original = fingerprint(std::string(kFolder) + "hf_single");
  // One tensor byte.
  const std::string folder = CopyFolder("hf_single");
  const std::string weights = Fixture("hf_single/model.safetensors");
  std::string changed = weights;
  changed.back() ^= 1;
  Write("hf_single/model.safetensors", changed);
  EXPECT_NE(fingerprint(folder), original);
  // Sharding and folder do not count.
  CARACAL_CHECK_OK(files()->Remove(folder + "/model.safetensors"));
  Write("hf_single/part.safetensors", weights);
  std::string map;
  ASSERT_OK_AND_ASSIGN(const auto model,
                       OpenModel(std::string(kFolder) + "hf_single"));
  for (const TensorInfo& info : model->tensors()) {
    absl::StrAppend(&map, map.empty() ? "" : ",", "\"", info.name,
                    "\": \"part.safetensors\"");
  }
  Write("hf_single/model.safetensors.index.json",
        "{\"weight_map\": {" + map + "}}");
  EXPECT_EQ(fingerprint(folder), original);
  // Token ids do not count; the rotary base does.
  const std::string config = Fixture("hf_single/config.json");
  Write("hf_single/config.json",
        absl::StrReplaceAll(config,
                            {{"\"eos_token_id\": 2", "\"eos_token_id\": 3"}}));
  EXPECT_EQ(fingerprint(folder), original);
  Write("hf_single/config.json",
        absl::StrReplaceAll(config, {{"500000.0", "500001.0"}}));
  EXPECT_NE(fingerprint(folder), original);
}

}  // namespace
}  // namespace caracal
