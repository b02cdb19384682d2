"""The prompt lab without its pages: people's prompts, five questions about them, and named sets that keep the answers.

    prompts       PromptTable: prompts with optional label, group and document; spelt(prompt)
    upload        peek(data, name, limits) and read_prompts(data, name, columns, limits): files to PromptTable
    result        LabResult: what every task gives: params, summary, notes, frames by table name
    tables        the TableSpecs of those frames
    testing       measure_features(model, prompts, features) -> Measured; summarise(measured, theta, run) -> LabResult
    finding       find_features(model, run, prompts, FindParams()) -> LabResult
    contrasting   contrast_groups(model, prompts, ContrastParams()) -> LabResult
    accounting    hold_to_account(model, prompts, feature, label, AccountParams()) -> LabResult; phrases_csv(result)
    decoding      decode_features(model, values, prompt, strengths, ...) -> LabResult
    prompt_sets   save_set, load_set, set_names, delete_set: ``<run>/prompt_sets/<name>/``

Tasks are functions of a ``PromptModel``, prompts and params; they raise InputError for what a person can mend. Progress
may raise to cancel. Nothing is written but by ``prompt_sets``.
"""
