"""One row a recipe: what makes it small enough for a test, and what it must refuse. A new model adds a row here."""

from limner import recipes
from limner.check import Subject

# Eight pictures are seen after two batches of four: smaller ones leave something to be interrupted.
ONCE = {"small": {"epochs": None, "batch": 2}, "size": (8, 8)}
TWICE = {"small": {"epochs": None, "batch": 4}, "size": (8, 8)}

QUICKER = {"generator_optimiser.rate": 1e-3, "discriminator_optimiser.rate": 1e-3}

UNET = {"network.widths": [16, 32], "network.blocks": [1, 1]}

ROWS = {
    "flow": {
        "small": UNET,
        "learns": {"steps": 300},
        "refuses": (
            {"prediction": "velocty"},
            {"time_std": -1.0},
            {"augmentation": ["cutout"]},
            {"augmentation": ["turn", "turn"]},
            {"augmentation_probability": 0.5},
            {"candidates": 2, "coupled": 2},
            {"alignment": -0.1},
            {"finish.since": 0.5},
            {"finish.slope": 0.1},
            {"finish.perceptual": 0.1, "small": 0.5, "finish.since": 0.4},
        ),
    },
    "edm": {
        "small": UNET,
        "learns": {"steps": 300},
        "refuses": ({"deviation": 0.0}, {"noise_std": -1.2}, {"score.tolerance": 0}, {"sigma_data": 0.5}),
    },
    "ddpm": {
        "small": UNET,
        "learns": {"steps": 300},
        "refuses": ({"prediction": "score"}, {"variance": "beta", "vlb": 0.01}, {"timesteps": 0}, {"schedule": "cos"}),
    },
    "dit": {
        "small": {"network.width": 32, "network.depth": 4, "network.heads": 2},
        "learns": {"network.width": 64, "steps": 300},
        "refuses": (
            {"network.heads": 5},
            {"network.mlp": "relu"},
            {"network.routing": 1.0},
            {"network": "unett"},
            {"network.widths": [16, 32]},
        ),
    },
    "dcgan": {
        "small": {"width": 16, "widest": 32},
        "learns": {"width": 32, "steps": 800, "generator_optimiser.rate": 1e-3, "discriminator_optimiser.rate": 1e-3},
        "refuses": (
            {"loss": "hinge", "smoothing": 0.1},
            {"conditioning": "projection"},
            {"loss": "wassserstein"},
            {"turns": 0},
            {"loss": "wasserstein"},
            {"architecture": "mlp", "kernel": 5},
        ),
    },
    "wgan-gp": {
        "small": {"width": 16, "widest": 32, "turns": 2},
        "learns": {"turns": 3, "steps": 300, "generator_optimiser.rate": 1e-3, "discriminator_optimiser.rate": 1e-3},
        "refuses": (
            {"gp": 0.0},
            {"gp": -1.0},
            {"r1": 1.0},
            {"discriminator_norm": "batch"},
            {"smoothing": 0.1},
            {"architecture": "mpl"},
        ),
    },
    "r3gan": {
        "small": {"width": 16, "widest": 32, "penalty_every": 2},
        "learns": {
            "width": 24,
            "widest": 48,
            "steps": 250,
            "augmentation": [],
            "generator_optimiser.rate": 1e-3,
            "discriminator_optimiser.rate": 1e-3,
        },
        "refuses": (
            {"patch": 3},
            {"kernel": 5},
            {"generator_norm": "batch"},
            {"r1": 0, "r2": 0},
            {"gp": 10.0},
            {"smoothing": 0.1},
        ),
    },
    "sagan": {
        "small": {"width": 8, "widest": 16, "latent": 16},
        "learns": {
            "width": 16,
            "widest": 32,
            "augmentation": [],
            "steps": 600,
            "generator_optimiser.rate": 1e-3,
            "discriminator_optimiser.rate": 2e-3,
        },
        "refuses": (
            {"conditioning": "style"},
            {"discriminator_norm": "batch"},
            {"patch": 3},
            {"depth": 3},
            {"smoothing": 0.1},
        ),
    },
    "biggan": {
        "small": {"width": 8, "widest": 16, "latent": 16},
        "learns": {
            "width": 16,
            "widest": 32,
            "augmentation": [],
            "steps": 600,
            "generator_optimiser.rate": 1e-3,
            "discriminator_optimiser.rate": 2e-3,
        },
        "refuses": ({"conditioning": "style"}, {"kernel": 5}, {"orthogonal": -1.0}, {"latent": 0}),
    },
    "progan": {
        "small": {"width": 8, "widest": 16, "latent": 16, "minibatch_group": 2},
        "learns": {"width": 16, "widest": 32, "augmentation": [], "steps": 200, "gp": 1.0},
        "refuses": ({"coarsest": 5}, {"generator_norm": "layer"}, {"gp": 0.0}, {"depth": 3}),
    },
    "stylegan": {
        "small": {"width": 8, "widest": 16, "latent": 16, "depth": 2, "minibatch_group": 2, "penalty_every": 2},
        "learns": {"width": 16, "widest": 32, "augmentation": [], "steps": 500},
        "refuses": (
            {"architecture": "resnet"},
            {"generator_norm": "batch"},
            {"upsample": "nearest"},
            {"conditioning": "projection"},
        ),
    },
    "stylegan2": {
        "small": {
            "width": 8,
            "widest": 16,
            "latent": 16,
            "depth": 2,
            "minibatch_group": 2,
            "penalty_every": 2,
            "path_every": 2,
        },
        "learns": {"width": 16, "widest": 32, "augmentation": [], "steps": 150},
        "refuses": ({"architecture": "transposed"}, {"path_length": 0}, {"kernel": 3}, {"conditioning": "concatenate"}),
    },
    "fastgan": {
        "small": {"width": 8, "widest": 16, "latent": 16},
        "learns": {
            "width": 16,
            "widest": 32,
            "augmentation": [],
            "steps": 600,
            "generator_optimiser.rate": 1e-3,
            "discriminator_optimiser.rate": 1e-3,
        },
        "refuses": ({"kernel": 5}, {"upsample": "bilinear"}, {"conditioning": "style"}),
    },
    "gan": {
        "small": {"width": 8},
        "learns": {"width": 16, "steps": 400, "augmentation": [], **QUICKER},
        "refuses": ({"kernel": 5}, {"widest": 64}, {"conditioning": "concatenate"}, {"minibatch": "std"}),
    },
    "dcgan-dense": {
        "small": {"width": 16, "widest": 32},
        "learns": {"steps": 600, "augmentation": [], "dropout": 0.0, **QUICKER},
        "refuses": ({"depth": 3}, {"downsample": "cubic"}, {"dropout": 1.0}, {"reuse_logits": "yes"}),
    },
    "wgan": {
        "small": {"width": 16, "turns": 2},
        "learns": {
            "width": 32,
            "steps": 500,
            "augmentation": [],
            "clip_weights": 0.3,
            "discriminator_norm": "none",
            **QUICKER,
        },
        "refuses": (
            {"clip_weights": 0.0},
            {"spectral": True},
            {"smoothing": 0.1},
            {"adaptive": 0.6, "augmentation": ["colour"]},
        ),
    },
    "lsgan": {
        "small": {"width": 16, "widest": 32, "generator_optimiser.rate": 5e-3},
        "learns": {
            "width": 32,
            "steps": 1200,
            "augmentation": [],
            "generator_optimiser.rate": 1e-3,
            "discriminator_optimiser.rate": 5e-4,
        },
        "refuses": ({"loss": "least-square"}, {"flips": 0.5}, {"modes_realism": 0.4}),
    },
    "cgan": {
        "small": {"width": 16, "widest": 32, "generator_optimiser.rate": 5e-3},
        "learns": {"width": 32, "steps": 800, "augmentation": [], **QUICKER},
        "refuses": ({"conditioning": "normalisation"}, {"conditioning": "concatenate"}, {"auxiliary_weight": 0.5}),
    },
    "acgan": {
        "small": {"width": 16, "widest": 32, "generator_optimiser.rate": 5e-3},
        "learns": {"width": 32, "steps": 800, "augmentation": [], **QUICKER},
        "refuses": ({"conditioning": "auxiliary"}, {"auxiliary_weight": -1.0}, {"discriminator_weight": 0.0}),
    },
    "vae": {
        "small": {"width": 16, "widest": 32},
        "learns": {"steps": 150, "optimiser.rate": 3e-3},
        "refuses": ({"likelihood": "bernoulli", "scale": 0.1}, {"likelihood": "gauss"}, {"latent": 0}),
    },
    "ae": {
        "small": {"width": 16, "widest": 32},
        "learns": {"steps": 150, "optimiser.rate": 3e-3},
        "refuses": ({"amount": 0.5}, {"corruption": "noise"}, {"corruption": "noisy"}, {"latent": 0}),
    },
    "dae": {
        "small": {"width": 16, "widest": 32},
        "learns": {"steps": 150, "optimiser.rate": 3e-3},
        "refuses": ({"amount": 1.5}, {"corruption": "none"}, {"amount": 0.0}),
    },
    "mean": ONCE,
    "gaussian": {**ONCE, "refuses": ({"shrinkage": 1.5}, {"shrinkage": "ledoit"})},
    "ppca": {**ONCE, "refuses": ({"components": 0},)},
    "gmm": {**TWICE, "refuses": ({"mixtures": 0}, {"pictures": 0})},
    "kde": {**TWICE, "refuses": ({"bandwidth": 0.0}, {"bandwidth": "wide"})},
}


def subject(name: str, **changes: object) -> Subject:
    return Subject(recipes.recipe(name), **{**ROWS[name], **changes})
