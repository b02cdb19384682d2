# A host of stored runs: the base install, which needs no torch, and the runs in cache/. See README, Hosting.
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/app
COPY --chown=user . .
RUN pip install --no-cache-dir --user -r requirements.txt
ENV PATH=/home/user/.local/bin:$PATH \
    PRISM_HOSTED=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0
EXPOSE 7860
CMD ["sh", "-c", "PRISM_PUBLIC_HOST=${PRISM_PUBLIC_HOST:-$SPACE_HOST} exec prism dashboard --port 7860"]
