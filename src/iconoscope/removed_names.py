"""Public names and commands of earlier versions, each with the sentence that says what to use now.

`iconoscope.__getattr__` and the command line answer with these sentences as the hint of an error; CHANGELOG.md prints them as a
table, which tests/test_public.py holds against this file.
"""

__all__ = ["REMOVED_COMMANDS", "REMOVED_NAMES"]

REMOVED_NAMES = {
    "ActivationSheet": "It is what activation_maps gives; import it from iconoscope.results.",
    "Agreement": 'Use occlude(network, images, fill=["zero", "mean"]).',
    "CONDITIONS": "Use audit(network, images, families=()).",
    "ComparedMaps": "Use Faithfulness, which faithfulness gives.",
    "Curves": "Use Faithfulness, which faithfulness gives.",
    "Exchange": "Use Audit, which audit(network, images, families=()) gives.",
    "Exemplars": "Use TopImages, which top_images gives.",
    "FAMILIES": "Use NUISANCES.",
    "Family": "Use Nuisance.",
    "FilterSheet": "It is what first_filters gives; import it from iconoscope.results.",
    "Layer": "It is what layers gives; import it from iconoscope.subject.network.",
    "Look": "Use Audit, which audit gives.",
    "Pictures": "Import it from iconoscope.auditing.",
    "Result": "Import it from iconoscope.results.",
    "Scales": "Use occlude(network, images, patch=[12, 24, 48]).",
    "agree": 'Use occlude(network, images, fill=["zero", "mean"]).',
    "audit_page": "Use report(audit, path).",
    "compare_maps": "Use faithfulness(network, images), which takes several maps.",
    "curves": "Use faithfulness(network, images).",
    "exchange": "Use audit(network, images, families=()).",
    "look": "Use audit(network, images).",
    "looks_at_object": "Use audit(network, images); of one map, Occlusion.pointing and Occlusion.object_share.",
    "map_page": "Use report(image_map, path).",
    "mean_map": "Use occlude(network, images, mean=True).",
    "occlude_scales": "Use occlude(network, images, patch=[12, 24, 48]).",
    "parse_unit": "Import it from iconoscope.vocabulary.unit.",
    "save_prior": "Use prior.save(path).",
}

REMOVED_COMMANDS = {
    "agree": "Use iconoscope occlude --fill zero,mean.",
    "compare": "Use iconoscope faithfulness, which takes several maps.",
    "curves": "Use iconoscope faithfulness.",
    "exchange": "Use iconoscope audit.",
    "filters": "Use iconoscope layers --filters filters.png.",
    "look": "Use iconoscope audit.",
    "mean": "Use iconoscope occlude --mean.",
    "scales": "Use iconoscope occlude --patch 12,24,48.",
}
