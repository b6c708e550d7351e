#include "eval/probe/words.h"

namespace caracal {
namespace {

constexpr const char* kSentences[] = {
    "The wind moves slowly over the fields.",
    "A river runs past the old mill.",
    "In the morning the birds begin to sing.",
    "The baker opens his shop at six.",
    "Rain falls on the roof of the barn.",
    "Two boats lie in the small harbor.",
    "The road leads through a quiet forest.",
    "Snow covers the tops of the mountains.",
    "A cat sleeps on the warm stones.",
    "The children walk home from school.",
    "Leaves drift along the garden wall.",
    "The train stops at every village.",
    "Clouds gather above the distant hills.",
    "A lamp burns in the kitchen window.",
    "The farmer brings apples to the market.",
    "Waves roll gently onto the beach.",
    "An old clock ticks in the hall.",
    "The bridge was built of grey stone.",
    "Smoke rises from a chimney nearby.",
    "The teacher reads a story aloud.",
    "A dog barks behind the fence.",
    "The grass bends under the morning dew.",
    "Somebody plays the piano upstairs.",
    "The library is open until evening.",
    "A path winds down to the lake.",
    "The gardener waters the roses.",
    "Fresh bread cools on the table.",
    "The moon stands above the church tower.",
    "A letter waits on the desk.",
    "The swallows return in the spring.",
    "An orchard grows beside the house.",
    "The fisherman mends his nets.",
};

constexpr const char* kNames[] = {
    "Anna",  "Peter",  "Maria", "Thomas", "Laura", "David",  "Emma",  "Robert",
    "Julia", "Martin", "Sarah", "Daniel", "Helen", "Oscar",  "Clara", "Simon",
    "Alice", "Henry",  "Rosa",  "Frank",  "Nora",  "Victor", "Grace", "Paul",
};

constexpr const char* kFoods[] = {
    "apples", "bread", "cheese", "fish",   "honey", "milk", "rice", "eggs",
    "soup",   "cake",  "tea",    "coffee", "meat",  "salt", "wine", "butter",
};

}  // namespace

absl::Span<const char* const> FillerSentences() { return kSentences; }
absl::Span<const char* const> PersonNames() { return kNames; }
absl::Span<const char* const> FoodNames() { return kFoods; }

}  // namespace caracal
