"""Variational autoencoder.

Kingma & Welling 2014, "Auto-encoding variational Bayes", arXiv 1312.6114. The scale of the likelihood is learnt along,
which settles the balance of reconstruction and divergence (Rybkin et al. 2021, "Simple and effective VAE training with
calibrated decoders", arXiv 2006.13202).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Fraction, Optimiser, Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses import likelihoods
from limner.nn.codec import CodecOptions, codec
from limner.nn.coupling import CouplingFlow
from limner.nn.embed import LabelEmbedding, LabelMemory, drop_labels
from limner.nn.norm import wide


class VAEConfig(CodecOptions):
    """The networks, the likelihood and the weight of the divergence.

    Attributes:
        likelihood: of a picture given its code. "gaussian" is the squared error, "bernoulli" the cross-entropy of
            brightness, "logistic" the probability of the 8-bit value (Salimans et al. 2017, eq. 2).
        scale: deviation (logistic: scale) of the likelihood, in units of [-1, 1]: a number, "learned" for one a
            channel, or "pixelwise" for one that the decoder gives for each value. Not given: learned, if there is any.
        prior: of the codes. "normal" is the paper's N(0, 1); "flow" learns an invertible map from it to where the codes
            really lie (Chen et al. 2017, 1611.02731, section 3.2), so that sampled codes look like encoded ones.
        prior_layers: couplings of that map. prior_hidden: units of their hidden layers.
        kl: weight of the divergence (beta of Higgins et al. 2017).
        kl_warmup: share of the training over which that weight rises from 0.
        conditional: whether labels, where there are any, are given to encoder and decoder (Sohn et al. 2015).
        embedding: size of a label's embedding. label_dropout: share of labels hidden in training.
        score_samples: codes a picture for its likelihood; 1 is the ELBO, more the bound of Burda et al. 2016, eq. 8.
    """

    likelihood: Literal["gaussian", "bernoulli", "logistic"] = "logistic"
    scale: Annotated[float, Meta(gt=0)] | Literal["learned", "pixelwise"] | None = None
    prior: Literal["normal", "flow"] = "flow"
    prior_layers: Positive = 8
    prior_hidden: Positive = 256
    kl: Size = 1.0
    kl_warmup: Fraction = 0.0
    conditional: bool = True
    embedding: Positive = 32
    label_dropout: Fraction = 0.1
    score_samples: Positive = 1
    optimiser: Optimiser = Optimiser(name="adamw", rate=1e-3, betas=(0.9, 0.99), warmup=0.02, decay=0.5)


class VAESampling(Options):
    """How pictures are drawn.

    Attributes:
        temperature: deviation of the noise that codes are made of; below 1 they are more typical and less diverse.
    """

    temperature: Annotated[float, Meta(gt=0)] = 1.0


class VAE(api.Generator, api.Conditions, api.Encodes, api.Scores):
    """See the head of this file."""

    Config = VAEConfig
    Sampling = VAESampling
    exact: ClassVar[bool] = False
    numbers = True

    # The scale has to travel by several units; ten times the networks' rate brings it there in hundreds of steps.
    SCALE_GAIN: ClassVar[float] = 10.0
    LEAST_LOG_SCALE: ClassVar[float] = -7.0

    def __init__(self, config: VAEConfig, spec: Spec) -> None:
        super().__init__()
        if not config.conditional:
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        values = [len(attribute.values) for attribute in spec.attributes]
        self.labels = LabelEmbedding(values, config.embedding) if values else None
        self.memory = LabelMemory(values) if values else None
        self.pixelwise = config.scale == "pixelwise"
        out = spec.channels * (1 + self.pixelwise)
        known = config.embedding if values else 0
        self.network = codec(config, spec.shape, out, 2 * config.latent, known)
        self.prior: CouplingFlow | None = None
        if config.prior == "flow":
            self.prior = CouplingFlow(config.latent, known, config.prior_layers, config.prior_hidden)
        learned = config.likelihood != "bernoulli" and config.scale in (None, "learned")
        self.log_scale = nn.Parameter(torch.zeros(spec.channels, 1, 1)) if learned else None

    @classmethod
    def check(cls, config: VAEConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        if config.network == "convolutional" and min(spec.height, spec.width) < 8:
            raise UserError(f"a convolutional vae paints 8 pixels and more, not {spec}: take --set network=mlp")
        if config.likelihood == "bernoulli" and config.scale is not None:
            raise UserError(f"scale={config.scale} has no meaning under likelihood=bernoulli: leave it out")

    def stages(self) -> tuple[Stage, ...]:
        """One stage, one phase: encoder and decoder are trained together."""
        return (Stage("autoencode", (Phase("elbo", (self,), self.loss, self.config.optimiser),)),)

    def start(self, batch: Batch) -> None:
        """The learnt scale begins at that of the pictures themselves: right for a decoder that knows only the mean."""
        if self.log_scale is not None:
            spread = batch.pictures.std((0, 2, 3)).clamp_min(1e-2).log().view(-1, 1, 1)
            self.log_scale.data = (spread / self.SCALE_GAIN).to(self.log_scale)

    # The loss.

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The negative ELBO in nats a value (eq. 10), the divergence weighted."""
        labels = batch.labels if self.labels is not None else None
        if self.memory is not None and labels is not None:
            self.memory.see(labels)
            labels = drop_labels(labels, batch.draws, self.config.label_dropout)
        given = self.given(labels, batch.size)
        mean, log_variance = self.posterior(batch.pictures, given)
        z = mean + (log_variance / 2).exp() * batch.draws.normal("code", self.config.latent)  # eq. 4
        surprise = self.surprise(batch.pictures, self.network.decode(z, given)).mean()
        kl = self.divergence(z, mean, log_variance, given).mean() / math.prod(self.spec.shape)
        weight = self.config.kl
        if self.config.kl_warmup:
            weight *= min(1.0, progress.fraction / self.config.kl_warmup)
        return {"reconstruction": surprise, "kl": weight * kl, "_elbo": -surprise - kl}

    def given(self, labels: Tensor | None, size: int) -> Tensor:
        """Embedded labels (size, E); (size, 0) without any."""
        if self.labels is None:
            return torch.zeros(size, 0, device=self.device, dtype=next(self.parameters()).dtype)
        return self.labels(labels, size)

    def posterior(self, pictures: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, latent) of q(z | x)."""
        mean, log_variance = wide(self.network.encode(pictures, given)).chunk(2, 1)
        return mean, log_variance.clamp(-20.0, 10.0)

    def divergence(self, z: Tensor, mean: Tensor, log_variance: Tensor, given: Tensor) -> Tensor:
        """KL(q(z | x) || p(z)) (B,): in closed form for a normal prior (appendix B), else its estimate at z."""
        if self.prior is None:
            return likelihoods.kl_to_standard(mean, log_variance).sum(1)
        entropy = (log_variance + math.log(2 * math.pi * math.e)).sum(1) / 2
        return -entropy - self.log_prior(z, given)

    def log_prior(self, z: Tensor, given: Tensor) -> Tensor:
        """log p(z) (B,) of codes (B, latent)."""
        noise, log_det = (z, 0.0) if self.prior is None else self.prior(z, given)
        zero = torch.zeros_like(noise)
        return likelihoods.gaussian_log_density(noise, zero, zero).sum(1) + log_det

    def surprise(self, pictures: Tensor, said: Tensor, discrete: bool = False) -> Tensor:
        """-log p(x | z) of each value (B, C, H, W) from what the decoder said; `discrete` of the 8-bit pictures."""
        said = wide(said)
        if self.config.likelihood == "bernoulli":
            return likelihoods.bernoulli(pictures, said)
        mean, log_scale = said.chunk(2, 1) if self.pixelwise else (said, self.scale(said))
        log_scale = log_scale.clamp_min(self.LEAST_LOG_SCALE)
        if self.config.likelihood == "logistic":
            return likelihoods.logistic(pictures, mean, log_scale)
        density = likelihoods.discretised_gaussian if discrete else likelihoods.gaussian
        return density(pictures, mean, log_scale)

    def scale(self, like: Tensor) -> Tensor:
        """log of the likelihood's scale where the decoder gives none: (C, 1, 1), or a scalar where it is fixed."""
        if self.log_scale is not None:
            return self.SCALE_GAIN * self.log_scale
        assert isinstance(self.config.scale, float)
        return like.new_tensor(math.log(self.config.scale))

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error of reconstructions."""
        condition = Condition(batch.labels)
        again = self.decode(self.encode(batch.pictures, condition), condition)
        return {"reconstruction error": (again - batch.pictures).square().mean()}

    # Sampling.

    def paint(self, draws: Draws, condition: Condition, options: VAESampling) -> Iterator[Tensor]:
        """The mean picture of a code from the prior; labels that are not asked for are as frequent as in training."""
        labels = condition.labels if self.memory is None else self.memory.complete(condition.labels, draws)
        z = options.temperature * draws.normal("code", self.config.latent)
        if self.prior is not None:
            z = self.prior.inverse(z, self.given(labels, draws.size))
        yield self.decode(z, Condition(labels))

    def encode(self, pictures: Tensor, condition: Condition | None = None) -> Tensor:
        """Means (B, latent) of q(z | x)."""
        given = self.given(condition.labels if condition else None, len(pictures))
        return self.posterior(pictures, given)[0]

    def decode(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Mean pictures (B, C, H, W) of codes (B, latent)."""
        given = self.given(condition.labels if condition else None, len(codes))
        said = wide(self.network.decode(codes, given))
        if self.config.likelihood == "bernoulli":
            return 2 * said.sigmoid() - 1
        return said[:, : self.spec.channels].clamp(-1.0, 1.0)

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) upper bounds: the ELBO, or Burda et al. 2016, eq. 8, with `score_samples` codes.

        Raises:
            UserError: a Bernoulli likelihood and pictures with other values than black and white.
        """
        if self.config.likelihood == "bernoulli" and bool((pictures.abs() < 1 - 1e-3).any()):
            raise UserError("likelihood=bernoulli gives no probability to grey values: score black-and-white pictures")
        given = self.given(None, len(pictures))
        mean, log_variance = self.posterior(pictures, given)
        weights = []
        for k in range(self.config.score_samples):
            z = mean + (log_variance / 2).exp() * draws.normal(f"code {k}", self.config.latent)
            said = -self.surprise(pictures, self.network.decode(z, given), discrete=True).flatten(1).sum(1)
            weights.append(
                said + self.log_prior(z, given) - likelihoods.gaussian_log_density(z, mean, log_variance).sum(1)
            )
        evidence = torch.logsumexp(torch.stack(weights), 0) - math.log(len(weights))
        return -evidence / (math.prod(self.spec.shape) * math.log(2))
