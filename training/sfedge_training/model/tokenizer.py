"""Prompts and answers as token ids, and tokenizers that need no download."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sfedge.core.errors import ConfigError
from sfedge.core.tasks import TASKS, Task

_BOS = "<|begin|>"
_TINY_VOCABULARY = 1400  # prompts of 7 to 70 tokens: time on a CPU goes by tokens
_WORD_VOCABULARY = 640  # prompts of 97 to 638 tokens, about as many as Llama's tokenizer makes
_ANSWER_REPEATS = 100  # often enough for every answer to be merged before the prompts' phrases


def build_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The byte-pair tokenizer of the `tiny` language model, the same on every machine.

    It is trained on the prompts and answers. Its merges span words, so that prompts get short.
    """
    return _train(_TINY_VOCABULARY, merges_span_words=True)


def build_word_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer of words and their parts, whose prompts are as long as Llama's.

    It replaces a language model's own where that model is built without its weights, so
    that time and memory are those of the real one.
    """
    return _train(_WORD_VOCABULARY, merges_span_words=False)


def _train(vocabulary: int, *, merges_span_words: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=not merges_span_words
    )
    tokenizer.decoder = decoders.ByteLevel()
    prompts = [task.prompt for task in TASKS.values()]
    answers = sorted({answer for task in TASKS.values() for answer in task.answers})
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(prompts + answers * _ANSWER_REPEATS, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token=_BOS
    )


def prompt_ids(tokenizer: PreTrainedTokenizerBase, task: Task) -> list[int]:
    """The tokens before the image tokens: the tokenizer's first token, if any, and the prompt."""
    first = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    return first + _encode(tokenizer, task.prompt)


def answer_ids(tokenizer: PreTrainedTokenizerBase, tasks: Iterable[Task]) -> dict[str, int]:
    """The token of every answer of the tasks.

    The answer follows an image token, so it is encoded alone, without a space before it.

    Raises:
        ConfigError: an answer is not exactly one token of its own; the message names its label.
    """
    found: dict[str, int] = {}
    for task in tasks:
        for answer, label in zip(task.answers, task.labels, strict=True):
            ids = _encode(tokenizer, answer)
            is_unknown = tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids
            if len(ids) != 1 or is_unknown:
                problem = (
                    "unknown to the tokenizer" if is_unknown else f"{len(ids)} tokens, not one"
                )
                raise ConfigError(
                    f"answer {answer!r} (label {label!r} of task {task.name!r}) is {problem}",
                    where="language",
                    fix="Choose a language model whose tokenizer has it as one token.",
                )
            found[answer] = ids[0]
    return found


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return [int(i) for i in tokenizer.encode(text, add_special_tokens=False)]
