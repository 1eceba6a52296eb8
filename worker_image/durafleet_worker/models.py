"""Build the client for an agent's `model`.

Only Temporal retries. The provider's client never repeats a request, so that each request is one attempt of one
activity, under the retry policy of the AgentWorker.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from openai import AsyncOpenAI
from pydantic_ai.exceptions import ModelContextWindowExceededError, ModelHTTPError, ModelRequestRejectedError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from durafleet.api.agents import Agent as AgentSpec
from durafleet_worker.errors import ConfigurationError

API_KEY = "OPENAI_API_KEY"
BASE_URL = "OPENAI_BASE_URL"
_OPENAI = "https://api.openai.com/v1"
_NO_KEY = "none"  # self-hosted endpoints often need no key, but the client requires one
_WORTH_REPEATING = frozenset({408, 409, 425, 429})


@dataclass(frozen=True)
class Endpoint:
    """The endpoint of a model, for messages. `url` is empty for the stub model "test"."""

    model: str
    url: str


class ChatModel(OpenAIChatModel):
    """OpenAI's chat API, with permanent errors separated from errors that can pass."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        try:
            return await super().request(messages, model_settings, model_request_parameters)
        except ModelHTTPError as error:
            if (final := rejection(error)) is None:
                raise
            raise final from error


def rejection(error: ModelHTTPError) -> ModelHTTPError | None:
    """Return the error that is never retried for a 4xx that the library does not categorise, else None."""
    code = error.status_code
    if type(error) is not ModelHTTPError or not 400 <= code < 500 or code in _WORTH_REPEATING:
        return None
    return ModelHTTPError.for_category(
        ModelContextWindowExceededError if code == 413 else ModelRequestRejectedError,
        status_code=code,
        model_name=error.model_name,
        body=error.body,
        headers=error.headers,
    )


def build_model(spec: AgentSpec, env: Mapping[str, str] = os.environ) -> tuple[Model, Endpoint]:
    """Build the client of an agent's model.

    Raises:
        ConfigurationError: the kind is unknown, or the endpoint is OpenAI's and no key is set.
    """
    kind, _, name = spec.model.partition(":")
    if spec.model == "test":
        return TestModel(), Endpoint(model="test", url="")
    if kind != "openai" or not name:
        raise ConfigurationError(
            f"Agent {spec.name!r}: the model {spec.model!r} is of an unknown kind; "
            'use "openai:<model>" (any OpenAI-compatible endpoint, see baseURL) or "test".'
        )
    url = spec.base_url or env.get(BASE_URL) or _OPENAI
    key = env.get(API_KEY)
    if not key and url.rstrip("/") == _OPENAI:
        raise ConfigurationError(
            f"Agent {spec.name!r}: the variable {API_KEY} is not set, but the model {spec.model!r} needs it; "
            "set it in the AgentWorker's spec.env or spec.envFrom, or set baseURL to another endpoint."
        )
    client = AsyncOpenAI(base_url=url, api_key=key or _NO_KEY, max_retries=0)
    return ChatModel(name, provider=OpenAIProvider(openai_client=client)), Endpoint(model=name, url=url)
