"""The modules of a trial, for Ray's idle processes: `RAY_preload_python_modules` names this module.

Ray has an idle process for each CPU of a node ready. With these modules, which take some seconds to load, a trial in
such a process starts at once. Nothing depends on it: without it, a trial loads them itself.
"""

try:
    from service.runner.trial import analyse_stage, first_check, process_state, train_stage  # noqa: F401
except Exception as error:  # the trial reports it as its failure
    print(f"the modules of trials cannot be loaded: {error!r}", flush=True)
