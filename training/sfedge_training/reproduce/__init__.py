"""The paper's result tables, from their rows' settings to tables beside the paper's figures."""
